import { watchPayment } from './index';
import type { FinalPayment, Outcome, Payment, WatchError } from './types';
import type { Watch, WatchOptions } from './watch';

/** What a page needs to draw the wait for one order. */
export interface PaymentState<TDisplay = unknown> {
  /**
   * What to show: `later` means "check the order later, do not pay again", also where the ticket was refused. `none`: there is no
   * order.
   */
  show: 'none' | 'confirming' | 'later' | FinalPayment['status'];
  /** The newest state of the payment; `null` before the first. */
  payment: Payment<TDisplay> | null;
  /** How it ended; `null` while it is waited for. */
  outcome: Outcome<TDisplay> | null;
  /** What failed last, for logs and for the mistakes of a first day; `null` if nothing did. */
  error: WatchError | null;
}

/** As those of `watchPayment`; a function for `ticket` is given the order. */
export type StateOptions<TDisplay = unknown> = Omit<WatchOptions<TDisplay>, 'ticket'> & {
  ticket: string | ((orderId: string) => string | Promise<string>);
};

export function startOf(orderId: unknown): PaymentState<any> {
  return { show: orderId ? 'confirming' : 'none', payment: null, outcome: null, error: null };
}

/** Watches, and calls `update` with each new state before the page's own callbacks. Nothing after `stop()`, or once the `signal` was aborted. */
export function follow<TDisplay>(options: StateOptions<TDisplay>, update: (state: PaymentState<TDisplay>) => void): Watch<TDisplay> {
  const { orderId, ticket, signal } = options;
  let state: PaymentState<TDisplay> = startOf(orderId);
  const set = (part: Partial<PaymentState<TDisplay>>): void => update((state = Object.assign({}, state, part)));
  let stopped = false;
  const over = (): boolean => stopped || (!!signal && signal.aborted);
  const call = <T>(name: 'onChange' | 'onLate' | 'onError', what?: T): void => {
    const callback = options[name] as ((what?: T) => void) | undefined;
    // What `update` draws may stop it.
    if (callback && !over()) callback(what);
  };
  const watch = watchPayment<TDisplay>(
    Object.assign({}, options, {
      ticket: typeof ticket === 'function' ? () => ticket(orderId) : ticket,
      onChange(payment: Payment<TDisplay>) {
        // At once, not when it is acknowledged: a page that waits again meanwhile never gets this version again.
        set(payment.final ? { payment, show: (payment as FinalPayment).status } : { payment });
        call('onChange', payment);
      },
      onLate() {
        set({ show: 'later' });
        call('onLate');
      },
      onError(error: WatchError) {
        set({ error });
        call('onError', error);
      },
    }),
  );
  watch.result.then((outcome) => {
    // A final state that is being acknowledged is the outcome, though it was stopped.
    if (over()) return;
    if (outcome.final) set({ outcome, payment: outcome, show: outcome.status });
    else if (!outcome.stopped) set({ outcome, show: 'later' });
  });
  return {
    result: watch.result,
    stop() {
      stopped = true;
      watch.stop();
    },
  };
}
