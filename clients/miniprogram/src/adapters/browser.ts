import type { Cancel, Platform, Request, Response } from '../platform';
import { clock } from './clock';
import { shareListener } from './listeners';

// Typed here and not by the DOM's typings: mini-programs, which share this source, have no DOM.
interface Target {
  addEventListener(type: string, listener: (event: { persisted?: boolean }) => void): void;
}
type Handler = ((event?: any) => void) | null;
interface BrowserSocket {
  onopen: Handler;
  onmessage: Handler;
  onclose: Handler;
  send(text: string): void;
  close(): void;
}
interface BrowserRequest {
  onload: Handler;
  onerror: Handler;
  status: number;
  responseText: string;
  open(method: string, url: string): void;
  setRequestHeader(name: string, value: string): void;
  send(body?: string): void;
  abort(): void;
}
export interface BrowserScope extends Target {
  document: Target & { hidden: boolean };
  /** Where it is there, it tells a browser that forbids from a service that is not there. */
  fetch?(url: string, options: { mode: 'no-cors' }): Promise<unknown>;
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

  // Once a request was answered, the page's origin is not what is wrong.
  let allowed = false;

  function send(request: Request, done: (response: Response) => void): Cancel {
    const xhr = new scope.XMLHttpRequest();
    xhr.open(request.method, request.url);
    Object.keys(request.headers).forEach((name) => xhr.setRequestHeader(name, request.headers[name]!));
    xhr.onload = () => {
      allowed = true;
      done({ status: xhr.status, data: xhr.responseText });
    };
    xhr.onerror = () => {
      if (allowed || !scope.fetch) return done({ status: 0 });
      // A browser says nothing of why; what it forbids can be asked for without reading it.
      scope.fetch(request.url, { mode: 'no-cors' }).then(() => done({ status: 0, reason: 'cors: add this origin to http.allowed_origins' }), () => done({ status: 0 }));
    };
    xhr.send(request.body && JSON.stringify(request.body));
    return () => xhr.abort();
  }

  return Object.assign(
    {
      connect(url, events) {
        const socket = new scope.WebSocket(url);
        socket.onopen = () => events.open();
        socket.onmessage = ({ data }: { data: unknown }) => {
          if (typeof data === 'string') events.message(data);
        };
        socket.onclose = () => events.close();
        return {
          send(text, done) {
            socket.send(text);
            done(true);
          },
          close: () => socket.close(),
        };
      },
      request: send,
      onShow: (run) => visibility((visible) => visible && run()),
      onHide: (run) => visibility((visible) => visible || run()),
      onNetwork: (run) => online(() => run(true)),
    } as Platform,
    clock,
  );
}
