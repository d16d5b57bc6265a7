import { getCurrentInstance, getCurrentScope, onMounted, shallowReactive, shallowRef, toRefs, unref, watch, type Ref, type ToRefs } from 'vue';
import { follow, startOf, type PaymentState, type StateOptions } from './state';

export type { PaymentState } from './state';

type Source<T> = T | Ref<T> | (() => T);

/** As those of `watchPayment`, but `url` and `orderId` may be refs or getters. */
export type UsePaymentOptions<TDisplay = unknown> = Omit<StateOptions<TDisplay>, 'orderId' | 'url'> & {
  url: Source<string>;
  /** Another order ends the wait for the one before; none waits for nothing. */
  orderId: Source<string | null | undefined>;
};

export interface UsedPayment<TDisplay = unknown> extends ToRefs<PaymentState<TDisplay>> {
  /** Waits again, for what is newer than what was shown: for "pay again" and "check again". */
  again(): void;
}

function valueOf<T>(source: Source<T>): T {
  return typeof source === 'function' ? (source as () => T)() : unref(source as T | Ref<T>);
}

/**
 * Waits for the payment of an order while the component is mounted, or its effect scope lives. On a server it renders `confirming`
 * and connects to nothing.
 */
export function usePayment<TDisplay = unknown>(options: UsePaymentOptions<TDisplay>): UsedPayment<TDisplay> {
  const orderOf = (): string | null | undefined => valueOf(options.orderId);
  const state = shallowReactive<PaymentState<TDisplay>>(startOf(orderOf()));
  const restart = shallowRef<{ of?: string | null; after?: number }>({});
  const afterOf = (orderId: unknown): number | undefined => (restart.value.of === orderId ? restart.value.after : options.after);
  const begin = (): void => {
    watch(
      [orderOf, () => valueOf(options.url), restart] as const,
      ([orderId, url], _, onCleanup) => {
        Object.assign(state, startOf(orderId));
        if (!orderId) return;
        const live = Object.assign({}, options, { orderId, url, after: afterOf(orderId) }) as StateOptions<TDisplay>;
        onCleanup(follow(live, (next) => Object.assign(state, next)).stop);
      },
      { immediate: true },
    );
  };
  // The server renders without mounting. What is shared by several components is not to end with the first that mounted.
  const scope = getCurrentScope();
  if (getCurrentInstance()) onMounted(() => (scope ? scope.active && scope.run(begin) : begin()));
  else begin();

  return Object.assign(toRefs(state) as ToRefs<PaymentState<TDisplay>>, {
    again() {
      const { payment } = state;
      const of = orderOf();
      // The order may be another one already, of which nothing was shown; a wait that was told nothing has what the one before it had.
      restart.value = { of, after: payment && payment.order_id === of ? payment.version : afterOf(of) };
    },
  });
}
