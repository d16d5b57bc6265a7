// Node.js is no platform of the package's own: this is one, over `ws` and `fetch`.
import type { Platform } from 'payment-notifier-miniprogram';
import { WebSocket } from 'ws';

const never = () => () => {};

export const platform: Platform = {
  connect(url, events) {
    const socket = new WebSocket(url);
    socket.on('open', () => events.open());
    socket.on('message', (data) => events.message(String(data)));
    socket.on('error', () => {});
    socket.on('close', () => events.close());
    return { send: (text, done) => socket.send(text, (error) => done(!error)), close: () => socket.close() };
  },
  request({ method, url, headers, body }, done) {
    const abort = new AbortController();
    fetch(url, { method, headers, body: body ? JSON.stringify(body) : null, signal: abort.signal }).then(
      async (response) => done({ status: response.status, data: await response.text() }),
      (error: Error) => done({ status: 0, reason: error.message }),
    );
    return () => abort.abort();
  },
  onShow: never,
  onHide: never,
  onNetwork: never,
  now: () => Date.now(),
  setTimer: (run, ms) => setTimeout(run, ms),
  clearTimer: (timer) => clearTimeout(timer as NodeJS.Timeout),
  random: () => Math.random(),
};
