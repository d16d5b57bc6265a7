import type { Cancel, Platform, Request, Response } from '../platform';
import { clock } from './clock';
import { shareListener } from './listeners';

// Typed here and not by the DOM's typings: mini-programs, which share this source, have no DOM.
interface Target {
  addEventListener(type: string, listener: (event: { data?: unknown; persisted?: boolean }) => void): void;
}
interface BrowserSocket extends Target {
  send(text: string): void;
  close(): void;
}
interface BrowserRequest extends Target {
  status: number;
  responseText: string;
  open(method: string, url: string): void;
  setRequestHeader(name: string, value: string): void;
  send(body?: string): void;
  abort(): void;
}
export interface BrowserScope extends Target {
  document: Target & { hidden: boolean };
  WebSocket: new (url: string) => BrowserSocket;
  XMLHttpRequest: new () => BrowserRequest;
}

declare const window: BrowserScope;

let made: Platform | undefined;

/** A web page. One platform for all its watches, so that they share sockets. */
export function browser(): Platform {
  return made || (made = createBrowser(window));
}

function createBrowser(scope: BrowserScope): Platform {
  const document = scope.document;
  const visibility = shareListener<boolean>((listener) => {
    document.addEventListener('visibilitychange', () => listener(!document.hidden));
    // Out of the back-forward cache: nothing that was open still is.
    scope.addEventListener('pageshow', (event) => event.persisted && listener(true));
    scope.addEventListener('pagehide', () => listener(false));
  });
  const online = shareListener<void>((listener) => scope.addEventListener('online', () => listener()));

  function send(request: Request, done: (response: Response) => void, chunk?: (text: string) => void): Cancel {
    const xhr = new scope.XMLHttpRequest();
    let seen = 0;
    xhr.open(request.method, request.url);
    Object.keys(request.headers).forEach((name) => xhr.setRequestHeader(name, request.headers[name]!));
    if (chunk) {
      xhr.addEventListener('progress', () => {
        const text = xhr.responseText;
        chunk(text.slice(seen));
        seen = text.length;
      });
    }
    xhr.addEventListener('loadend', () => done({ status: xhr.status, data: xhr.responseText }));
    xhr.send(request.body && JSON.stringify(request.body));
    return () => xhr.abort();
  }

  return Object.assign(
    {
      connect(url, events) {
        const socket = new scope.WebSocket(url);
        socket.addEventListener('open', () => events.open());
        socket.addEventListener('message', ({ data }) => {
          if (typeof data === 'string') events.message(data);
        });
        socket.addEventListener('close', () => events.close());
        return {
          send(text, done) {
            socket.send(text);
            done(true);
          },
          close: () => socket.close(),
        };
      },
      request: (request, done) => send(request, done),
      requestChunked: (request, chunk, done) => send(request, done, chunk),
      onShow: (run) => visibility((visible) => visible && run()),
      onHide: (run) => visibility((visible) => visible || run()),
      onNetwork: (run) => online(() => run(true)),
    } as Platform,
    clock,
  );
}
