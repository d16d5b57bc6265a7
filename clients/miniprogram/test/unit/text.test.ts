import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSseParser } from '../../src/sse';
import { createUtf8Decoder } from '../../src/utf8';
import { seeded } from '../support/random';

const TEXT = 'plain, ümläut, 付款成功, 💰🇨🇳, \u2028, \u0000, \ufeff';

test('UTF-8 split at every place', () => {
  const bytes = Buffer.from(TEXT);
  for (let i = 0; i <= bytes.length; i++) {
    for (let j = i; j <= bytes.length; j++) {
      const decode = createUtf8Decoder();
      assert.equal([bytes.subarray(0, i), bytes.subarray(i, j), bytes.subarray(j)].map((part) => decode(part)).join(''), TEXT);
    }
  }
});

test('UTF-8 byte by byte', () => {
  const decode = createUtf8Decoder();
  assert.equal([...Buffer.from(TEXT)].map((byte) => decode(Uint8Array.of(byte))).join(''), TEXT);
});

test('bytes that are not UTF-8 never pass', () => {
  for (const bad of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80], [0x80]]) {
    const decode = createUtf8Decoder();
    assert.equal(decode(Uint8Array.from([...bad, 0x41])), '');
    assert.equal(decode(Uint8Array.of(0x42)), '');
  }
});

test('event streams: every line end, comments, other events, cut anywhere', () => {
  const random = seeded(7);
  for (const end of ['\n', '\r\n', '\r']) {
    const stream = [
      ': heartbeat', '', 'id: 1', 'event: payment', 'data: {"a":"付\u2028款"}', '', 'event: other', 'data: {}', '', 'data: {}', '',
      'retry: 5', 'event:payment', 'data:{', 'data: "b":2}', '', 'id', 'event: payment', '', '',
    ].join(end) + end;
    for (let round = 0; round < 200; round++) {
      const seen: string[] = [];
      const parse = createSseParser((data) => seen.push(data));
      for (let at = 0; at < stream.length; ) {
        const size = 1 + Math.floor(random() * 20);
        assert.equal(parse(stream.slice(at, at + size)), true);
        at += size;
      }
      assert.deepEqual(seen, ['{"a":"付\u2028款"}', '{"b":2}']);
    }
  }
});

test('an endless line is no event stream', () => {
  const parse = createSseParser(() => {});
  let ok = true;
  for (let i = 0; i < 100 && ok; i++) ok = parse('x'.repeat(1000));
  assert.equal(ok, false);
});
