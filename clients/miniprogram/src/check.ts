import { mistake } from './faults';
import { TICKET } from './tickets';
import type { WatchOptions } from './watch';

export const ADDRESS = /^(http|ws)s?:\/\/[^\s?#@]+$/;

/** Each option with its type. */
const KNOWN = /^(on(Change|Connection|Late|Error):f|(after|(late|giveUp)AfterMs):n|\w+:undef|(url|orderId|ticket|adapter|signal):)/;

/** Throws a sentence about the first option that cannot be meant. */
export function checkOptions(options: WatchOptions<any>): void {
  const given = Object(options);
  const need = (name: string, right: boolean, what: string): void => {
    if (!right) mistake(`option ${name}: ${what}`);
  };
  const text = (name: string, pattern: RegExp, what: string): void => need(name, typeof given[name] === 'string' && pattern.test(given[name]), what);
  text('url', ADDRESS, 'like https://pay.example.com');
  text('orderId', /^[\w.\-*|@]{1,64}$/, '1 to 64 of A-Za-z0-9_-.*|@');
  if (typeof given.ticket !== 'function') text('ticket', TICKET, 'a ticket or a function');
  Object.keys(given).forEach((name) => {
    const value = given[name];
    // NaN, a number that no clock reaches, is not equal to itself.
    need(name, value === value && KNOWN.test(name + ':' + typeof value), 'unknown or wrong type');
  });
}
