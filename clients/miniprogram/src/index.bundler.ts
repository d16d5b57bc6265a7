import { browser } from './adapters/browser';
import { miniProgram } from './adapters/mini';
import { pick } from './adapters/pick';
import { watch } from './core';
import type { Platform } from './platform';
import type { Watch, WatchOptions } from './watch';

export type { MiniApi } from './adapters/mini';
export type { Cancel, Platform, Request, Response, Socket, SocketEvents } from './platform';
export type { Connection, FinalPayment, Frame, Money, Outcome, Payment, Refused, Status, Stopped, TicketError, TicketSource, TimedOut, Transport, WatchError } from './types';
export type { StopSignal, Watch, WatchOptions } from './watch';
export { browser, miniProgram };

declare const window: unknown;

/** Tells the page each state of its order until the final one. */
export function watchPayment<TDisplay = unknown>(options: WatchOptions<TDisplay>): Watch<TDisplay> {
  return watch(options, platformOf(options));
}

/** For the package's other files alone. */
export function platformOf(options: { adapter?: Platform }): Platform {
  // Where there is no page either, as in Node.js, it throws.
  return Object(options).adapter || pick() || (typeof window === 'undefined' ? miniProgram() : browser());
}
