import { backoff, type Alarms } from './alarms';
import { fault, ticketFault } from './faults';
import type { Platform } from './platform';
import type { TicketSource, WatchError } from './types';

const REFUSALS_MAX = 3;
const FETCH_TIMEOUT_MS = 10000;
const FETCH_INTERVAL_LEAST_MS = 1000;
/** A longer one does not fit a frame of the service, which would close the socket that all watches share. */
export const TICKET = /^[!-~]{1,8000}$/;

/** The one ticket in use: fetched when first needed, and anew once the service has refused it. */
export interface Tickets {
  /** Calls `use` with the ticket, at once if there is one. A later call of the same name replaces an earlier one that waits. */
  take(name: string, use: (ticket: string) => void): void;
  /** Says that the service refused this ticket. False if no better one can be had. */
  refuse(used: string): boolean;
  accept(): void;
  /** Nobody waits any more; a fetch under way counts for nothing. */
  forget(): void;
}

/** `failing`: why no ticket could be had, each time; null once there is one. */
export function createTickets(
  source: TicketSource,
  platform: Platform,
  alarms: Alarms,
  failing: (error: WatchError['error'] | null) => void,
): Tickets {
  const waiting = new Map<string, (ticket: string) => void>();
  let ticket = typeof source === 'string' ? source : '';
  let fetching: object | null = null;
  let fetchedAt = -Infinity;
  let failures = 0;
  let refusals = 0;

  function fetchLater(ms: number): void {
    alarms.at('ticket', ms, fetch);
  }

  function fetch(): void {
    const attempt = (fetching = {});
    fetchedAt = platform.now();
    const failed = (error: WatchError['error']): void => {
      if (fetching !== attempt) return;
      fetching = {};
      fetchLater(backoff(platform, failures++));
      failing(error);
    };
    alarms.at('ticket', FETCH_TIMEOUT_MS, () => failed(ticketFault('no answer in 10 s')));
    // Only a function comes here: a text that is refused ends the watch.
    new Promise<unknown>((resolve) => resolve((source as () => unknown)())).then(
      (fetched) => {
        if (fetching !== attempt) return;
        if (typeof fetched !== 'string' || !TICKET.test(fetched)) {
          return failed(fault('no_ticket', 'ticket() must give a ticket, not ' + (fetched && typeof fetched)));
        }
        alarms.off('ticket');
        fetching = null;
        failures = 0;
        ticket = fetched;
        failing(null);
        waiting.forEach((use, name) => {
          // One that ran before it may have given the ticket up.
          if (ticket === fetched && waiting.delete(name)) use(fetched);
        });
      },
      (error) => failed(ticketFault(error)),
    );
  }

  return {
    take(name, use) {
      if (ticket) return use(ticket);
      waiting.set(name, use);
      if (fetching) return;
      const sinceMs = platform.now() - fetchedAt;
      fetching = {};
      if (sinceMs > FETCH_INTERVAL_LEAST_MS) fetch();
      else fetchLater(FETCH_INTERVAL_LEAST_MS);
    },
    refuse(used) {
      // Two transports may be refused for the same old ticket.
      if (used !== ticket) return true;
      ticket = '';
      return typeof source === 'function' && ++refusals < REFUSALS_MAX;
    },
    accept() {
      refusals = 0;
    },
    forget() {
      waiting.clear();
      fetching = null;
      alarms.off('ticket');
    },
  };
}
