import { lineTo } from './line';
import type { Platform } from './platform';
import type { Frame } from './types';

export interface ChannelOptions {
  /** Base address of the service. */
  url: string;
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

export function channel(options: ChannelOptions, platform: Platform): Channel {
  const line = lineTo(platform, options.url);
  let closed = false;
  const pending = new Set<(sent: boolean) => void>();
  const state = (name: 'connecting' | 'open' | 'closed'): void => {
    if (options.onState) options.onState(name);
  };
  const member = {
    up: () => state('open'),
    down: () => state('connecting'),
    frame(frame: Frame) {
      if (options.onFrame) options.onFrame(frame);
    },
  };
  state('connecting');
  line.join(member);

  return {
    send: (frame) =>
      new Promise((resolve) => {
        if (closed) return resolve(false);
        pending.add(resolve);
        line.send(member, frame, (sent) => {
          pending.delete(resolve);
          resolve(sent);
        });
      }),
    close() {
      if (closed) return;
      closed = true;
      line.leave(member);
      pending.forEach((resolve) => resolve(false));
      state('closed');
    },
  };
}
