import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createAlarms } from '../../src/alarms';
import { createCalls } from '../../src/calls';
import { createService } from '../support/service';
import { createWorld } from '../support/world';

const request = { method: 'GET', url: 'https://pay.example/', headers: {} } as const;

function setUp() {
  const world = createWorld(createService());
  const answers: number[] = [];
  return { world, answers, done: ({ status }: { status: number }) => void answers.push(status), calls: createCalls(world.platform, createAlarms(world.platform)) };
}

test('an answer before the call is even made: taken once, and what it began is ended', async () => {
  const { world, answers, done, calls } = setUp();
  let aborted = 0;
  calls.start('a', 1000, (finish) => (finish({ status: 200 }), finish({ status: 500 }), () => aborted++), done);
  await world.advance(2000);
  assert.deepEqual([answers, aborted], [[200], 1]);
  assert.deepEqual(world.live(), []);
});

test('a platform that throws is one that does not answer', () => {
  const { answers, done, calls } = setUp();
  calls.start('a', 1000, () => { throw new Error('no'); }, done);
  assert.deepEqual(answers, [0]);
});

test('a time-out aborts; what comes later is not heard', async () => {
  const { world, answers, done, calls } = setUp();
  let finish!: (response: { status: number }) => void;
  let aborted = 0;
  calls.start('a', 1000, (run) => ((finish = run), () => aborted++), done);
  await world.advance(1001);
  finish({ status: 200 });
  assert.deepEqual([answers, aborted], [[0], 1]);
});

test('a call replaces the one of its name, and a cancelled one never answers', async () => {
  const { world, answers, done, calls } = setUp();
  world.weather.http = 'hang';
  calls.request('a', 1000, request, done);
  world.weather.http = 'fail';
  calls.request('a', 1000, request, done);
  await world.advance(500);
  assert.deepEqual(answers, [0]);
  calls.request('a', 1000, request, done);
  calls.request('b', 1000, request, done);
  calls.cancelAll();
  await world.advance(5000);
  assert.deepEqual(answers, [0]);
  assert.deepEqual(world.live(), []);
});
