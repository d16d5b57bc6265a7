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

/** A payment as the service shows it to the page. Fields that are not known are absent. `TDisplay`: what the merchant puts into `display`. */
export interface Payment<TDisplay = unknown> {
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
  display?: TDisplay;
}

/** What tells the four outcomes apart, each of which has one of them. */
interface Marks {
  timedOut?: undefined;
  stopped?: undefined;
  refused?: undefined;
}

export interface FinalPayment<TDisplay = unknown> extends Payment<TDisplay>, Marks {
  status: 'succeeded' | 'failed' | 'canceled' | 'expired';
  final: true;
}

interface Unfinished<TDisplay> {
  final: false;
  /** The last state the page was told, `null` if none. */
  payment: Payment<TDisplay> | null;
  /** What failed, if the watch was without a working connection or ticket when it ended: the last that has a name, else the first `unreachable`. */
  cause?: WatchError;
}

/** `giveUpAfterMs` passed, and one last look found no final state. The payment may still succeed: never show it as failed. */
export interface TimedOut<TDisplay = unknown> extends Omit<Marks, 'timedOut'>, Unfinished<TDisplay> {
  timedOut: true;
}

/** `stop()` was called first, or the `signal` was aborted. */
export interface Stopped<TDisplay = unknown> extends Omit<Marks, 'stopped'>, Unfinished<TDisplay> {
  stopped: true;
}

/** The service refused the ticket and no better one could be had. Show it like a payment that is late. */
export interface Refused<TDisplay = unknown> extends Omit<Marks, 'refused'>, Unfinished<TDisplay> {
  refused: TicketError;
}

/** Told apart by `final`, then by `timedOut`, `stopped` or `refused`: each may be read on any of them. */
export type Outcome<TDisplay = unknown> = FinalPayment<TDisplay> | TimedOut<TDisplay> | Stopped<TDisplay> | Refused<TDisplay>;

/** Something that failed and is tried again. Only `refused` outcomes end a watch. */
export interface WatchError {
  /** `ticket`: the page's own function; `socket`, `request`: the service's address. */
  where: 'ticket' | 'socket' | 'request';
  /** Its message is a sentence that says what to do. */
  error: Error & {
    /**
     * The mistakes of a first day: `no_ticket` (nothing, an object, spaces), `backend_401`, `domain_not_listed`, `cors`,
     * `wrong_service` (the operators' port, say). Else `ticket_failed`, `unreachable`, `refused`.
     */
    code: string;
  };
  /** Counts from 1; begins again when that place has worked. */
  attempt: number;
}

export type TicketError = 'invalid_ticket' | 'ticket_expired' | 'forbidden';

export type Transport = 'socket' | 'long_poll' | 'poll';

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
