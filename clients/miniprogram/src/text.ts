/** The base address without a slash at its end; `wss://` is taken for `https://`. */
export function httpBase(url: string): string {
  return url.replace(/^ws/, 'http').replace(/\/+$/, '');
}

/** The object that the text holds, or that it already is; undefined for all else. */
export function parseJson(value: unknown): object | undefined {
  try {
    if (typeof value === 'string') value = JSON.parse(value);
  } catch {
    return;
  }
  return value && typeof value === 'object' ? value : undefined;
}

/** Runs a function of the page's. Its own error is shown as such, and stops nothing. */
export function tell(run: () => void): void {
  try {
    run();
  } catch (error) {
    Promise.reject(error);
  }
}

/** For what platforms throw where nothing can be done about it. False if it threw. */
export function quietly(run: () => void): boolean {
  try {
    run();
    return true;
  } catch {
    return false;
  }
}
