import type { Cancel, Platform, Request, Response } from '../platform';
import { mistake, wordsOf } from '../faults';
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
    fail(error?: unknown): void;
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
  onError(listener: (error?: unknown) => void): unknown;
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
}

/**
 * A mini-program platform: `wx`, `my`, `tt`, `uni`, or one that is made like them.
 * @throws where `connectSocket` or `request` is missing, as in a `uni` that a production build for H5 has emptied.
 */
export function miniProgram(api?: MiniApi): Platform {
  if (!api || !api.connectSocket || !api.request) {
    return mistake('no connectSocket or request: leave adapter out, or give the right one');
  }
  const send = ({ url, method, headers, body }: Request, done: (response: Response) => void): Cancel => {
    // Alipay calls `fail` for HTTP errors, with the response.
    const finish = (response: unknown): void => {
      const { statusCode, status, data }: MiniResponse = Object(response);
      done({ status: statusCode || status || 0, data, reason: wordsOf(response) });
    };
    const task = api.request({ url, method, header: headers, headers, data: body, success: finish, fail: finish }) || {};
    return () => {
      if (task.abort) task.abort();
    };
  };

  const listenTo = <T>(name: 'onAppShow' | 'onAppHide' | 'onNetworkStatusChange'): ((run: (value: T) => void) => Cancel) =>
    shareListener((listener) => {
      if (api[name]) (api[name] as (run: (value: T) => void) => unknown)(listener);
    });
  const network = listenTo<{ isConnected: boolean } | undefined>('onNetworkStatusChange');

  return Object.assign(
    {
      connect(url, events) {
        const task = api.connectSocket({ url, multiple: true, success() {}, fail: (error) => events.close(wordsOf(error)) });
        if (task) {
          task.onOpen(() => events.open());
          task.onMessage(({ data }) => {
            // Alipay wraps it once more.
            const text = data && typeof data === 'object' ? (data as { data: unknown }).data : data;
            if (typeof text === 'string') events.message(text);
          });
          task.onClose(() => events.close());
          task.onError((error) => events.close(wordsOf(error)));
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
      request: send,
      onShow: listenTo<void>('onAppShow'),
      onHide: listenTo<void>('onAppHide'),
      onNetwork: (run) => network((status) => run(!status || status.isConnected !== false)),
    } as Platform,
    clock,
  );
}
