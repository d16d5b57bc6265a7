import { follow, type PaymentState, type StateOptions } from './state';
import type { Watch } from './watch';

/** What the page finds in its data under `payment`, for its template. */
export interface PaymentData<TDisplay = unknown> extends Pick<PaymentState<TDisplay>, 'show' | 'payment'> {
  /** No more will come, unless it is waited for again. */
  over: boolean;
  /** What failed last; absent if nothing did. */
  error?: { where: string; code: string; message: string };
}

/** What `paymentPage` and `paymentComponent` give to `this`. */
export interface PaymentMethods {
  /** Waits for the payment of an order, and keeps `data.payment` up to date. It ends with the page, at once where that has gone. Another call takes the place of this one. */
  watchPayment<TDisplay = unknown>(options: StateOptions<TDisplay>): Watch<TDisplay>;
  /** Waits again for the same order, for what is newer than what was shown: for the buttons "pay again" and "check again". */
  watchPaymentAgain(): Watch | undefined;
}

interface Instance {
  setData(data: { payment: PaymentData<any> }): void;
}

interface Wait {
  options: StateOptions<any>;
  watch: Watch<any>;
  version?: number;
}

const waits = new WeakMap<object, Wait>();
/** Those that were unloaded or detached: what they awaited meanwhile may still begin a wait. */
const gone = new WeakSet<object>();

function stop(instance: object): void {
  const wait = waits.get(instance);
  if (wait) wait.watch.stop();
}

function begun(instance: object): void {
  gone.delete(instance);
}

function ended(instance: object): void {
  gone.add(instance);
  stop(instance);
}

function begin(instance: Instance, options: StateOptions<any>): Watch<any> {
  const show = ({ show, payment, outcome, error }: PaymentState): void => {
    if (payment) wait.version = payment.version;
    const data: PaymentData = { show, payment, over: !!outcome };
    if (error) data.error = { where: error.where, code: error.error.code, message: error.error.message };
    instance.setData({ payment: data });
  };
  stop(instance);
  const wait: Wait = { options, version: options.after, watch: follow(options, show) };
  waits.set(instance, wait);
  if (gone.has(instance)) stop(instance);
  else instance.setData({ payment: { show: 'confirming', payment: null, over: false } });
  return wait.watch;
}

const methods: PaymentMethods & ThisType<Instance> = {
  watchPayment(options) {
    return begin(this, options);
  },
  watchPaymentAgain() {
    const wait = waits.get(this);
    return wait && begin(this, Object.assign({}, wait.options, { after: wait.version }));
  },
};

/** In the place of that callback, one that runs `first` and then it. */
function before(target: any, name: string, first: (instance: object) => void): void {
  const own = target[name];
  target[name] = function (this: object) {
    first(this);
    if (own) return own.apply(this, arguments);
  };
}

/** For `Page(paymentPage({ … }))`. */
export function paymentPage<TOptions extends object>(options: TOptions & ThisType<any>): TOptions {
  const page = Object.assign({}, options, methods);
  before(page, 'onLoad', begun);
  before(page, 'onUnload', ended);
  return page;
}

/** For `Component(paymentComponent({ … }))`, also of a component that is a page. */
export function paymentComponent<TOptions extends object>(options: TOptions & ThisType<any>): TOptions {
  const component: any = Object.assign({}, options);
  component.methods = Object.assign({}, component.methods, methods);
  before(component, 'attached', begun);
  before(component, 'detached', ended);
  // Alipay's names for them.
  before(component, 'didMount', begun);
  before(component, 'didUnmount', ended);
  if (component.lifetimes) {
    const lifetimes = (component.lifetimes = Object.assign({}, component.lifetimes));
    // One of the component's own, beside them, is to stay in force.
    if (lifetimes.attached) before(lifetimes, 'attached', begun);
    before(lifetimes, 'detached', ended);
  }
  return component;
}
