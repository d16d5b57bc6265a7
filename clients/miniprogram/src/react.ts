import { useEffect, useRef, useState } from 'react';
import { follow, startOf, type PaymentState, type StateOptions } from './state';

export type { PaymentState } from './state';

/** As those of `watchPayment`. The callbacks and `ticket` of the last render are the ones that are called. */
export type UsePaymentOptions<TDisplay = unknown> = Omit<StateOptions<TDisplay>, 'orderId'> & {
  /** Another order ends the wait for the one before; none waits for nothing. */
  orderId: string | null | undefined;
};

export interface UsedPayment<TDisplay = unknown> extends PaymentState<TDisplay> {
  /** Waits again, for what is newer than what was shown: for "pay again" and "check again". */
  again(): void;
}

/** Waits for the payment of an order while the component is mounted. On a server it renders `confirming` and connects to nothing. */
export function usePayment<TDisplay = unknown>(options: UsePaymentOptions<TDisplay>): UsedPayment<TDisplay> {
  const { url, orderId, adapter } = options;
  const ticket = typeof options.ticket === 'string' ? options.ticket : '';
  const latest = useRef(options);
  const [told, setTold] = useState<[unknown?, PaymentState<TDisplay>?]>([]);
  const [restart, setRestart] = useState<[unknown?, number?]>([]);
  const state: PaymentState<TDisplay> = told[0] === orderId && told[1] ? told[1] : startOf(orderId);

  useEffect(() => {
    latest.current = options;
  });
  useEffect(() => {
    if (!orderId) return;
    const { current } = latest;
    const live = Object.assign({}, current, { orderId, after: restart[0] === orderId ? restart[1] : current.after });
    (['onChange', 'onLate', 'onError', 'onConnection'] as const).forEach((name) => {
      live[name] = (what?: any) => {
        const callback = latest.current[name] as ((what: any) => void) | undefined;
        if (callback) callback(what);
      };
    });
    if (!ticket) live.ticket = (id) => (latest.current.ticket as (id: string) => string | Promise<string>)(id);
    setTold([orderId, startOf(orderId)]);
    return follow(live, (next) => setTold([orderId, next])).stop;
  }, [url, orderId, adapter, ticket, restart]);

  return Object.assign({}, state, {
    // A wait that was told nothing has what the one before it had.
    again: () => setRestart(([of, after]) => [orderId, state.payment ? state.payment.version : of === orderId ? after : latest.current.after]),
  });
}
