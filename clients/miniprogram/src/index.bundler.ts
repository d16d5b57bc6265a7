import { browser } from './adapters/browser';
import { pick } from './adapters/pick';
import { channel, type Channel, type ChannelOptions } from './channel';
import { watch, type Watch, type WatchOptions } from './watch';

export { miniProgram, type MiniApi } from './adapters/mini';
export type { Channel, ChannelOptions } from './channel';
export type { Cancel, Platform, Request, Response, Socket, SocketEvents } from './platform';
export type * from './types';
export type { Watch, WatchOptions } from './watch';
export { browser };

/** Tells the page each state of its order until the final one. */
export function watchPayment(options: WatchOptions): Watch {
  return watch(options, options.adapter || pick() || browser());
}

/** The socket beneath, for pages that show or send frames themselves. */
export function openChannel(options: ChannelOptions): Channel {
  return channel(options, options.adapter || pick() || browser());
}
