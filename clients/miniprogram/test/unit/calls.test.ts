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
  return { world, answers, done: ({ status }: { status: number }) => void answers.push(status), calls: createCalls((request, done) => world.platform.request(request, done), createAlarms(world.platform)) };
}

test('an answer before the call is even made: taken once, and what it began is ended', async () => {
  const { world, answers, done, calls } = setUp();
  let aborted = 0;
  world.platform.request = (_, finish) => (finish({ status: 200 }), finish({ status: 500 }), () => aborted++);
  calls.request('a', 1000, request, done);
  await world.advance(2000);
  assert.deepEqual([answers, aborted], [[200], 1]);
  assert.deepEqual(world.live(), []);
});

test('a platform that throws is one that does not answer, and says why', () => {
  const { world, calls } = setUp();
  world.platform.request = () => {
    throw new Error('no');
  };
  const answers: unknown[] = [];
  calls.request('a', 1000, request, (response) => answers.push(response));
  assert.deepEqual(answers, [{ status: 0, reason: 'no' }]);
});

test('a time-out aborts; what comes later is not heard; an abort that throws harms nothing', async () => {
  const { world, answers, done, calls } = setUp();
  let finish!: (response: { status: number }) => void;
  let aborted = 0;
  world.platform.request = (_, run) => {
    finish = run;
    return () => {
      aborted++;
      throw new Error('gone');
    };
  };
  calls.request('a', 1000, request, done);
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
