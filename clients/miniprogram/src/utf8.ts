/**
 * UTF-8 from chunks that split characters: devices have no decoder of their own. Bytes that end inside a character are held
 * back until the rest comes. Bytes that are not UTF-8 are never passed on, nor is what follows them.
 */
export function createUtf8Decoder(): (bytes: Uint8Array) => string {
  let held = '';
  return (bytes) => {
    bytes.forEach((byte) => (held += '%' + (256 + byte).toString(16).slice(1)));
    try {
      const text = decodeURIComponent(held);
      held = '';
      return text;
    } catch {
      return '';
    }
  };
}
