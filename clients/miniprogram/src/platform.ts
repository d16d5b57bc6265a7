/**
 * All that the state machine needs of the world. Whoever implements it may be careless: late, repeated or missing callbacks
 * are the machine's concern.
 */
export interface Platform {
  connect(url: string, events: SocketEvents): Socket;
  /** Gives back what aborts it, if it was sent. */
  request(request: Request, done: (response: Response) => void): Cancel | void;
  onShow(run: () => void): Cancel;
  onHide(run: () => void): Cancel;
  onNetwork(run: (connected: boolean) => void): Cancel;
  /** Milliseconds of the wall clock. */
  now(): number;
  setTimer(run: () => void, ms: number): unknown;
  clearTimer(timer: unknown): void;
  /** 0 to 1. */
  random(): number;
}

export type Cancel = () => void;

export interface SocketEvents {
  open(): void;
  message(text: string): void;
  /** Closed, failed or refused; `reason` in the platform's words. Close codes are not passed on: platforms invent them. */
  close(reason?: string): void;
}

export interface Socket {
  send(text: string, done: (sent: boolean) => void): void;
  close(): void;
}

export interface Request {
  method: 'GET' | 'POST';
  url: string;
  headers: Record<string, string>;
  /** To be sent as JSON. */
  body?: object;
}

export interface Response {
  /** HTTP status; 0 if there was no answer. */
  status: number;
  /** The body, as text or as the JSON value it holds. */
  data?: unknown;
  /** Why there was no answer, in the platform's words; they begin with `cors` if the browser kept it from the page. */
  reason?: string;
}
