const EVENT_CHARACTERS_MAX = 65536;

/** Server-Sent Events: calls `payment` with the data of each whole `payment` event. Returns false once the text is no event stream. */
export function createSseParser(payment: (data: string) => void): (text: string) => boolean {
  let rest = '';
  let data = '';
  let event = '';

  return (text) => {
    rest += text;
    // A carriage return at the end may be half of a line's end.
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop()!;
    lines.forEach((line) => {
      const [, field, value] = /^(\w*):? ?([^]*)$/.exec(line) || [];
      if (!line) {
        if (data && event === 'payment') payment(data);
        data = event = '';
      } else if (field === 'data') {
        data += value;
      } else if (field === 'event') {
        event = value!;
      }
    });
    return rest.length + data.length < EVENT_CHARACTERS_MAX;
  };
}
