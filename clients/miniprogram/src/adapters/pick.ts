import type { Platform } from '../platform';
import { miniProgram, type MiniApi } from './mini';

declare const wx: MiniApi;
declare const my: MiniApi;
declare const tt: MiniApi;
declare const uni: MiniApi;

let picked: Platform | undefined;

/** The mini-program platform this runs on, if it is one. */
export function pick(): Platform | undefined {
  [() => wx, () => my, () => tt, () => uni].forEach((find) => {
    try {
      // A web page inside WeChat has a `wx` too, but one without sockets.
      if (!picked && 'connectSocket' in find()) picked = miniProgram(find());
    } catch {
      // There is no such name here.
    }
  });
  return picked;
}
