import { backoff, type Alarms } from './alarms';
import type { Platform } from './platform';
import type { TicketSource } from './types';

const REFUSALS_MAX = 3;
const FETCH_TIMEOUT_MS = 10000;
const FETCH_INTERVAL_LEAST_MS = 1000;

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

export function createTickets(source: TicketSource, platform: Platform, alarms: Alarms): Tickets {
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
    const failed = (): void => {
      if (fetching === attempt) {
        fetching = {};
        fetchLater(backoff(platform, failures++));
      }
    };
    alarms.at('ticket', FETCH_TIMEOUT_MS, failed);
    new Promise<string>((resolve) => resolve(typeof source === 'string' ? source : source())).then((fetched) => {
      if (fetching !== attempt) return;
      if (!fetched) return failed();
      alarms.off('ticket');
      fetching = null;
      failures = 0;
      ticket = fetched;
      waiting.forEach((use, name) => {
        // One that ran before it may have given the ticket up.
        if (ticket === fetched && waiting.delete(name)) use(fetched);
      });
    }, failed);
  }

  return {
    take(name, use) {
      if (ticket) return use(ticket);
      waiting.set(name, use);
      if (fetching) return;
      const waitMs = fetchedAt + FETCH_INTERVAL_LEAST_MS - platform.now();
      fetching = {};
      if (waitMs > 0) fetchLater(Math.min(waitMs, FETCH_INTERVAL_LEAST_MS));
      else fetch();
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
