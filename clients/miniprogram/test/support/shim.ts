import http from 'node:http';
import { WebSocket } from 'ws';
import { miniProgram, type MiniApi, type Platform } from '../../miniprogram_dist/index.js';

export type Kind = 'wx' | 'my' | 'tt' | 'uni';
export const KINDS: Kind[] = ['wx', 'my', 'tt', 'uni'];

/** A device: a platform's API over real sockets, as it behaves on phones. */
export interface Device {
  kind: Kind;
  /** Behind the SDK's own adapter for this API. */
  platform: Platform;
  api: MiniApi;
  /** The program stops, its requests fail, its sockets are cut. `awayMs` is how far the clock has gone on return. */
  background(): void;
  foreground(awayMs: number): void;
  network(connected: boolean): void;
  /** Sockets, requests and timers that live. */
  live(): string[];
}

interface Callbacks {
  success?(result: object): void;
  fail?(error: object): void;
  complete?(result: object): void;
}
interface SocketOptions extends Callbacks {
  url: string;
  multiple?: boolean;
  header?: Record<string, string>;
}
interface RequestOptions extends Callbacks {
  url: string;
  method?: string;
  header?: Record<string, string>;
  headers?: Record<string, string>;
  data?: unknown;
}
type Listener = (event: object) => void;

const CLOSE_CODES: Record<Kind, (real: number) => unknown> = {
  wx: () => 1000,
  my: () => undefined,
  tt: (real) => (real % 2 ? String(real) : 1001),
  uni: () => 1006,
};

export function createDevice(kind: Kind, { tellsCloseOnReturn = true, onH5 = kind === 'uni' } = {}): Device {
  let frozen = false;
  let skew = 0;
  const held: (() => void)[] = [];
  const sockets = new Set<WebSocket>();
  const requests = new Map<http.ClientRequest, () => void>();
  const timers = new Set<NodeJS.Timeout>();
  const listeners = { show: [] as Listener[], hide: [] as Listener[], network: [] as Listener[] };

  const soon = (run: () => void): void => void setTimeout(run, 0);
  const toProgram = (run: () => void): void => (frozen ? void held.push(run) : run());

  function connectSocket(options: SocketOptions): object | undefined | Promise<object> {
    if (sockets.size >= 5) {
      soon(() => toProgram(() => options.fail?.({ errMsg: 'connectSocket:fail exceed max task count' })));
      return undefined;
    }
    const socket = new WebSocket(options.url, { headers: onH5 ? {} : options.header, perMessageDeflate: false });
    sockets.add(socket);
    const on: Record<string, Listener | undefined> = {};
    const emit = (name: string, event: object): void => toProgram(() => on[name]?.(event));
    socket.on('open', () => emit('open', { header: {} }));
    socket.on('message', (data, isBinary) => {
      const text = isBinary ? (data as Buffer) : data.toString();
      emit('message', kind === 'my' ? { data: { data: text, isBuffer: isBinary } } : { data: text });
    });
    socket.on('error', (error) => emit('error', { errMsg: String(error) }));
    socket.on('close', (code) => {
      sockets.delete(socket);
      const cutInBackground = frozen;
      if (!cutInBackground || tellsCloseOnReturn) emit('close', kind === 'my' ? {} : { code: CLOSE_CODES[kind](code), reason: 'abnormal' });
    });
    const task = {
      onOpen: (listener: Listener) => (on['open'] = listener),
      onMessage: (listener: Listener) => (on['message'] = listener),
      onClose: (listener: Listener) => (on['close'] = listener),
      onError: (listener: Listener) => (on['error'] = listener),
      send({ data, success, fail }: Callbacks & { data: string }) {
        if (socket.readyState !== WebSocket.OPEN) return soon(() => toProgram(() => fail?.({ errMsg: 'send:fail' })));
        socket.send(data, (error) => toProgram(() => (error ? fail : success)?.({ errMsg: 'send' })));
      },
      close({ success }: Callbacks = {}) {
        if (socket.readyState === WebSocket.CONNECTING) return;
        socket.close(1000);
        success?.({ errMsg: 'close:ok' });
      },
    };
    soon(() => toProgram(() => options.success?.({ errMsg: 'connectSocket:ok' })));
    // Without `multiple` Alipay has no tasks; without a callback uni-app gives a promise.
    if (kind === 'my' && !options.multiple) return undefined;
    if (kind === 'uni' && !options.success && !options.fail && !options.complete) return Promise.resolve(task);
    return task;
  }

  function request(options: RequestOptions): object | Promise<object> {
    const headers = (kind === 'my' ? options.headers : options.header) || {};
    const body = options.data === undefined ? undefined : JSON.stringify(options.data);
    let over = false;
    const end = (callback: ((result: object) => void) | undefined, result: object): void => {
      if (over) return;
      over = true;
      requests.delete(sent);
      toProgram(() => callback?.(result));
    };
    const interrupt = (): void => end(options.fail, { errMsg: 'request:fail interrupted', error: 12 });
    const sent = http.request(options.url, { method: options.method || 'GET', headers: { 'content-type': 'application/json', ...headers }, agent: false });
    requests.set(sent, interrupt);
    sent.on('error', () => end(options.fail, { errMsg: 'request:fail', error: 12 }));
    sent.on('response', (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('error', () => end(options.fail, { errMsg: 'request:fail', error: 12 }));
      response.on('close', () => end(options.fail, { errMsg: 'request:fail', error: 12 }));
      response.on('end', () => {
        const text = Buffer.concat(parts).toString();
        let data: unknown = text;
        try {
          data = JSON.parse(text);
        } catch {}
        const status = response.statusCode!;
        const result = kind === 'my' ? { status, headers: response.headers, data } : { statusCode: status, header: response.headers, data };
        if (kind === 'my' && status >= 400) end(options.fail, { ...result, error: 19, errorMessage: 'http status error' });
        else end(options.success, result);
      });
    });
    sent.end(body);
    const task = {
      abort() {
        end(options.fail, { errMsg: 'request:fail abort' });
        sent.destroy();
      },
    };
    if (kind === 'uni' && !options.success && !options.fail && !options.complete) return Promise.resolve(task);
    return task;
  }

  const api = {
    connectSocket,
    request,
    onAppShow: (listener: Listener) => void listeners.show.push(listener),
    onAppHide: (listener: Listener) => void listeners.hide.push(listener),
    onNetworkStatusChange: (listener: Listener) => void listeners.network.push(listener),
  } as unknown as MiniApi;

  const platform: Platform = Object.assign({}, miniProgram(api), {
    now: () => Date.now() + skew,
    setTimer(run: () => void, ms: number) {
      const timer = setTimeout(() => {
        timers.delete(timer);
        toProgram(run);
      }, ms);
      timers.add(timer);
      return timer;
    },
    clearTimer(timer: NodeJS.Timeout) {
      timers.delete(timer);
      clearTimeout(timer);
    },
  });

  return {
    kind,
    platform,
    api,
    background() {
      listeners.hide.forEach((listener) => listener({}));
      frozen = true;
      sockets.forEach((socket) => socket.terminate());
      [...requests].forEach(([sent, interrupt]) => {
        interrupt();
        sent.destroy();
      });
    },
    foreground(awayMs) {
      skew += awayMs;
      frozen = false;
      listeners.show.forEach((listener) => listener({}));
      held.splice(0).forEach((run) => run());
    },
    network: (isConnected) => listeners.network.forEach((listener) => listener({ isConnected, networkType: 'wifi' })),
    live: () => [
      ...[...sockets].map((socket) => `socket ${socket.readyState}`),
      ...[...requests.keys()].map((sent) => `request ${sent.path}`),
      ...[...timers].map(() => 'timer'),
    ],
  };
}
