import { lineTo, type Line } from './line';
import type { Platform } from './platform';
import { httpBase } from './text';

export { watch } from './watch';

/** The socket of that address, which all watches there share. */
export function line(url: string, platform: Platform): Line {
  return lineTo(platform, httpBase(url));
}
