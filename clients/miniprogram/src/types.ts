/** Minor units of an ISO 4217 currency: `{ value: 1999, currency: "CNY" }` is 19.99 yuan. */
export interface Money {
  value: number;
  currency: string;
}

export type Status =
  | 'pending'
  | 'requires_action'
  | 'processing'
  | 'authorized'
  | 'succeeded'
  | 'failed'
  | 'canceled'
  | 'expired';

/** A payment as the service shows it to the page. Fields that are not known are absent. */
export interface Payment {
  order_id: string;
  version: number;
  status: Status;
  /** No further status is expected. */
  final: boolean;
  occurred_at?: string;
  amount?: Money;
  provider?: string;
  refund?: { status: 'processing' | 'partial' | 'full'; amount?: Money };
  reason?: { code?: string; message?: string };
  /** What the merchant passes to its own page. */
  display?: unknown;
}

export interface FinalPayment extends Payment {
  status: 'succeeded' | 'failed' | 'canceled' | 'expired';
  final: true;
}

interface Unfinished {
  final: false;
  /** The last state the page was told, `null` if none. */
  payment: Payment | null;
}

/** The deadline passed, and one last look found no final state. The payment may still succeed: never show it as failed. */
export interface TimedOut extends Unfinished {
  timedOut: true;
}

/** `stop()` was called first. */
export interface Stopped extends Unfinished {
  stopped: true;
}

/** The service refused the ticket and no better one could be had. Show it like a time-out. */
export interface Refused extends Unfinished {
  refused: TicketError;
}

/** `outcome.final` tells them apart. */
export type Outcome = FinalPayment | TimedOut | Stopped | Refused;

export type TicketError = 'invalid_ticket' | 'ticket_expired' | 'forbidden';

export type Transport = 'socket' | 'stream' | 'long_poll' | 'poll';

/** How the page is connected at this moment. */
export interface Connection {
  /** `null` while there is none. */
  transport: Transport | null;
  /** Times the socket was lost after it had worked. */
  reconnects: number;
  /** Milliseconds the page was without a transport before this one; 0 while there is none. */
  ms: number;
}

export type TicketSource = string | (() => string | Promise<string>);

/** What the service sends over the socket. */
export interface Frame {
  type: string;
  order_id?: string;
  payment?: Payment | null;
  code?: string;
  message?: string;
  after_ms?: number;
}
