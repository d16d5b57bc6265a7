import type { WatchError } from './types';

type Fault = WatchError['error'];

export function fault(code: string, message: string): Fault {
  return Object.assign(new Error(message), { code });
}

/** Throws a mistake in the page's own code, at once. */
export function mistake(sentence: string): never {
  throw new TypeError('payment-notifier: ' + sentence);
}

/** In the words of whoever failed: an `Error`, a platform's `{ errMsg }`, or anything else. */
export function wordsOf(error: any): string {
  return String(Object(error).errMsg || Object(error).errorMessage || Object(error).message || error || '');
}

/** Why the page's own `ticket()` gave none. */
export function ticketFault(error: any): Fault {
  const words = wordsOf(error);
  const is401 = /\b401\b/.test([words, Object(error).status, Object(error).statusCode] + '');
  return fault(is401 ? 'backend_401' : 'ticket_failed', 'ticket() failed: ' + words + (is401 ? ': is the session sent?' : ''));
}

/** Why the service's address gave no answer that is one of ours. */
export function addressFault(where: WatchError['where'], base: string, status: number, reason = '', code = ''): Fault {
  const [name, advice = ''] = /domain|合法域名/i.test(reason)
    ? ['domain_not_listed', `add it to the ${where} domains`]
    : /^cors/.test(reason)
      ? ['cors']
      : !status
        ? ['unreachable', 'wrong url?']
        : code && code !== 'not_found'
          ? ['refused']
          : ['wrong_service', 'is it the port of http.listen?'];
  return fault(name!, `${where} ${base}: ${status || 'no answer'} ${code || reason} ${advice}`);
}

declare const console: { warn(text: string): void };

const warned = new Set<string>();

/** Tells the developer once of each kind of mistake. A network that fails now and then is none. */
export function warnOnce({ error, attempt }: WatchError): void {
  const { code, message } = error;
  if (warned.has(code) || (code === 'unreachable' && attempt < 3)) return;
  warned.add(code);
  console.warn('payment-notifier: ' + message);
}
