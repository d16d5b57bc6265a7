import assert from 'node:assert/strict';
import { test } from 'node:test';
import { httpBase, parseJson } from '../../src/text';

test('addresses of sockets and of HTTP are the same service', () => {
  for (const url of ['https://pay.example', 'https://pay.example/', 'wss://pay.example//']) assert.equal(httpBase(url), 'https://pay.example');
  assert.equal(httpBase('ws://127.0.0.1:8080/pay'), 'http://127.0.0.1:8080/pay');
});

test('an object, or nothing', () => {
  for (const value of ['', 'null', '7', '"text"', '{', undefined, null, 7]) assert.equal(parseJson(value), undefined);
  assert.deepEqual(parseJson('{"a":1}'), { a: 1 });
  assert.deepEqual(parseJson({ a: 1 }), { a: 1 });
});
