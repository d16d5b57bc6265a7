import { browser } from './adapters/browser';
import { pick } from './adapters/pick';
import { line, watch } from './core';
import type { Line } from './line';
import type { Platform } from './platform';
import type { Watch, WatchOptions } from './watch';

export { miniProgram, type MiniApi } from './adapters/mini';
export type { Cancel, Platform, Request, Response, Socket, SocketEvents } from './platform';
export type * from './types';
export type { StopSignal, Watch, WatchOptions } from './watch';
export { browser };

/** Tells the page each state of its order until the final one. */
export function watchPayment<TDisplay = unknown>(options: WatchOptions<TDisplay>): Watch<TDisplay> {
  return watch(options, found(options));
}

/** For `channel.mjs` alone, which shares the sockets. */
export function lineFor(options: { url: string; adapter?: Platform }): Line {
  return line(options.url, found(options));
}

function found(options: { adapter?: Platform }): Platform {
  return (options && options.adapter) || pick() || browser();
}
