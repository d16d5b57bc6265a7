import { ADDRESS } from './check';
import { mistake } from './faults';
import { line as lineTo } from './core';
import { platformOf } from './index';
import type { Platform } from './platform';
import { tell } from './text';
import type { Frame } from './types';

const FRAMES_KEPT_MAX = 32;

export interface ChannelOptions {
  /** Base address of the service. */
  url: string;
  /** Hears the frames of this order alone; absent: of all orders on the socket, those of other watches too. */
  orderId?: string;
  adapter?: Platform;
  onFrame?(frame: Frame): void;
  onState?(state: 'connecting' | 'open' | 'closed'): void;
}

/** The socket itself, for pages that want to see frames. It is the one that watches of the same address use. */
export interface Channel {
  /** Sent at once, or once the socket is open; 32 frames are kept for that. */
  send(frame: object): Promise<boolean>;
  /** Leaves the socket; it closes when nobody else is on it. */
  close(): void;
}

/** @throws where `url` is no address. */
export function openChannel(options: ChannelOptions): Channel {
  if (!options || !ADDRESS.test(options.url)) mistake('option url: like https://pay.example.com');
  const line = lineTo(options.url, platformOf(options));
  let closed = false;
  let isOpen = false;
  let kept: (() => void)[] = [];
  const pending = new Set<(sent: boolean) => void>();
  /** Of those, the ones that the platform was given: if the socket is lost, it may never say what became of them. */
  const underWay = new Set<(sent: boolean) => void>();
  const settle = (resolve: (sent: boolean) => void, sent: boolean): void => {
    pending.delete(resolve);
    underWay.delete(resolve);
    resolve(sent);
  };
  const state = (name: 'connecting' | 'open' | 'closed'): void => {
    if (options.onState) tell(() => options.onState!(name));
  };
  const member = {
    orderId: options.orderId,
    up() {
      isOpen = true;
      kept.splice(0).forEach((send) => send());
      if (isOpen) state('open');
    },
    down() {
      isOpen = false;
      underWay.forEach((resolve) => settle(resolve, false));
      state('connecting');
    },
    frame(frame: Frame) {
      if (options.onFrame) tell(() => options.onFrame!(frame));
    },
  };
  state('connecting');
  line.enter(member);

  return {
    send: (frame) =>
      new Promise((resolve) => {
        const send = (): void => {
          underWay.add(resolve);
          line.send(frame, (sent) => settle(resolve, sent));
        };
        if (closed || (!isOpen && kept.length >= FRAMES_KEPT_MAX)) return resolve(false);
        pending.add(resolve);
        if (isOpen) send();
        else kept.push(send);
      }),
    close() {
      if (closed) return;
      closed = true;
      kept = [];
      line.leave(member);
      pending.forEach((resolve) => settle(resolve, false));
      state('closed');
    },
  };
}
