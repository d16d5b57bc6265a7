/** The message can never be answered: not an inquiry, or of a merchant that is not configured. `code` is stable. */
export class Unanswerable extends Error {
  constructor(code) {
    super(code);
    this.code = code;
  }
}

/**
 * The provider gave no answer that can be trusted. `code` is the provider's, or ours: timeout, unreachable, bad_signature,
 * unknown_platform_key, clock_off, unexpected_answer. `kind` says what to do: "busy" (soon again), "limited" (leave the account alone for a while), "refused"
 * (our keys or settings are wrong: later again, and somebody should look), "untrusted" (the answer is not the provider's).
 * The SDKs' own errors hold keys, headers and payers, so they are never passed on or logged.
 */
export class QueryError extends Error {
  constructor(kind, code) {
    super(`${kind}: ${code}`);
    this.kind = kind;
    this.code = String(code).slice(0, 100);
  }
}

const TIMEOUTS = ["ECONNABORTED", "ETIMEDOUT", "UND_ERR_HEADERS_TIMEOUT", "UND_ERR_BODY_TIMEOUT", "UND_ERR_CONNECT_TIMEOUT"];

/** An error of the network, whose code may stand in its causes. */
export function networkError(error) {
  const codes = [];
  for (let at = error, depth = 0; at && depth < 5; at = at.cause ?? at.detail, depth++) codes.push(at.code ?? at.name);
  const timedOut = codes.some((code) => TIMEOUTS.includes(code) || /timeout/i.test(code ?? ""));
  return new QueryError("busy", timedOut ? "timeout" : "unreachable");
}
