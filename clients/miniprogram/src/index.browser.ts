import { browser } from './adapters/browser';
import { channel, type Channel, type ChannelOptions } from './channel';
import { watch, type Watch, type WatchOptions } from './watch';

export { browser };

/** Tells the page each state of its order until the final one. */
export function watchPayment(options: WatchOptions): Watch {
  return watch(options, options.adapter || browser());
}

/** The socket beneath, for pages that show or send frames themselves. */
export function openChannel(options: ChannelOptions): Channel {
  return channel(options, options.adapter || browser());
}
