import type { Cancel, Platform, Request, Response } from '../platform';
import { clock } from './clock';
import { shareListener } from './listeners';

/** What WeChat's `wx`, Alipay's `my`, Douyin's `tt` and uni-app's `uni` have in common, as far as it is used here. */
export interface MiniApi {
  connectSocket(options: {
    url: string;
    /** Alipay: without it, a second socket closes the first, and there is no task. */
    multiple: true;
    /** uni-app returns a task only to those who pass a callback, and a promise to others. */
    success(): void;
    fail(): void;
  }): MiniSocketTask | undefined;
  request(options: MiniRequest): MiniRequestTask | undefined | void;
  onAppShow?(listener: () => void): unknown;
  onAppHide?(listener: () => void): unknown;
  onNetworkStatusChange?(listener: (status: { isConnected: boolean }) => void): unknown;
}

export interface MiniSocketTask {
  onOpen(listener: () => void): unknown;
  onMessage(listener: (message: { data: unknown }) => void): unknown;
  onClose(listener: () => void): unknown;
  onError(listener: () => void): unknown;
  send(options: { data: string; success(): void; fail(): void }): unknown;
  close(options: { code?: number }): unknown;
}

export interface MiniRequest {
  url: string;
  method: 'GET' | 'POST';
  /** Each platform makes JSON of an object, and Douyin takes no text. Their typings differ. */
  data?: any;
  header: Record<string, string>;
  /** Alipay's older versions read this one. */
  headers: Record<string, string>;
  enableChunked?: boolean;
  success(response: MiniResponse): void;
  fail(error: unknown): void;
}

export interface MiniResponse {
  statusCode?: number;
  /** Alipay's name for it. */
  status?: number;
  data?: unknown;
}

export interface MiniRequestTask {
  /** Takes nothing, whatever typings say. */
  abort?(...nothing: any[]): unknown;
  onChunkReceived?(listener: (chunk: { data: ArrayBuffer }) => void): unknown;
}

/** A mini-program platform: `wx`, `my`, `tt`, `uni`, or one that is made like them. */
export function miniProgram(api: MiniApi): Platform {
  let chunks = false;

  function send({ url, method, headers, body }: Request, done: (response: Response) => void, enableChunked = false): MiniRequestTask {
    // Alipay calls `fail` for HTTP errors, with the response.
    const finish = (response: MiniResponse): void =>
      done({ status: (response && (response.statusCode || response.status)) || 0, data: response && response.data });
    const task = api.request({ url, method, header: headers, headers, data: body, enableChunked, success: finish, fail: finish as (error: unknown) => void }) || {};
    chunks = !!task.onChunkReceived;
    return task;
  }

  const abort = (task: MiniRequestTask) => (): void => {
    if (task.abort) task.abort();
  };

  const listenTo = <T>(name: 'onAppShow' | 'onAppHide' | 'onNetworkStatusChange'): ((run: (value: T) => void) => Cancel) =>
    shareListener((listener) => {
      if (api[name]) (api[name] as (run: (value: T) => void) => unknown)(listener);
    });
  const network = listenTo<{ isConnected: boolean } | undefined>('onNetworkStatusChange');

  return Object.assign(
    {
      connect(url, events) {
        const task = api.connectSocket({ url, multiple: true, success() {}, fail: () => events.close() });
        if (task) {
          task.onOpen(() => events.open());
          task.onMessage(({ data }) => {
            // Alipay wraps it once more.
            const text = data && typeof data === 'object' ? (data as { data: unknown }).data : data;
            if (typeof text === 'string') events.message(text);
          });
          task.onClose(() => events.close());
          task.onError(() => events.close());
        }
        return {
          send(text, done) {
            if (task) task.send({ data: text, success: () => done(true), fail: () => done(false) });
          },
          close() {
            if (task) task.close({});
          },
        };
      },
      request: (request, done) => abort(send(request, done)),
      requestChunked(request, chunk, done) {
        // An ordinary request has shown by now whether there are chunks here.
        if (!chunks) return done({ status: 0 });
        const task = send(request, done, true);
        task.onChunkReceived!(({ data }) => chunk(new Uint8Array(data)));
        return abort(task);
      },
      onShow: listenTo<void>('onAppShow'),
      onHide: listenTo<void>('onAppHide'),
      onNetwork: (run) => network((status) => run(!status || status.isConnected !== false)),
    } as Platform,
    clock,
  );
}
