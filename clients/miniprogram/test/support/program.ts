import { spawn, type ChildProcess } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { startProxy } from './proxy';
import type { Backend } from './scenarios';

const MERCHANT = 'shop';
const START_TIMEOUT_MS = 20_000;

/** The real program in a vhost of its own, behind a proxy. */
export async function startProgram(more: NodeJS.ProcessEnv = {}): Promise<Backend> {
  const broker = settings();
  const vhost = `test-${randomBytes(8).toString('hex')}`;
  const folder = mkdtempSync(join(tmpdir(), 'payment-notifier-'));
  const secret = randomBytes(32).toString('hex');
  await broker.call('PUT', `vhosts/${vhost}`, {});
  await broker.call('PUT', `permissions/${vhost}/${encodeURIComponent(broker.user)}`, { configure: '.*', write: '.*', read: '.*' });

  const environment = {
    PATH: process.env['PATH'],
    PAYMENT_NOTIFIER__AMQP__URL: `${broker.amqp}/${vhost}`,
    PAYMENT_NOTIFIER__STORE__URL: `sqlite://${folder}/payments.db`,
    PAYMENT_NOTIFIER__HTTP__LISTEN: '127.0.0.1:0',
    PAYMENT_NOTIFIER__HTTP__DRAIN_S: '1',
    PAYMENT_NOTIFIER__ADMIN__LISTEN: '127.0.0.1:0',
    PAYMENT_NOTIFIER__TICKETS__HS256_SECRET: secret,
    PAYMENT_NOTIFIER__TICKETS__LEEWAY_S: '0',
    PAYMENT_NOTIFIER__TELEMETRY__LOG_FORMAT: 'json',
    ...more,
  };
  const start = async (): Promise<Program> => {
    const program = await run(environment, folder);
    await ready(program);
    return program;
  };
  let program = await start();
  const proxy = await startProxy(program.port);
  let acksBefore = 0;

  const acks = async (): Promise<number> => {
    const text = await (await fetch(`http://${program.admin}/metrics`)).text();
    return [...text.matchAll(/^\S*page_acks_total(?:\{[^}]*\})? (\d+)/gm)].reduce((sum, [, count]) => sum + Number(count), 0);
  };

  return {
    url: `http://127.0.0.1:${proxy.port}`,
    proxy,
    async publish(orderId, status) {
      if (status === 'succeeded') acksBefore = await acks();
      const event = {
        event_id: randomBytes(8).toString('hex'),
        merchant_id: MERCHANT,
        order_id: orderId,
        status,
        occurred_at: new Date().toISOString(),
        amount: { value: 1999, currency: 'CNY' },
        display: { title: '付款 💰' },
      };
      const answer = await broker.call('POST', `exchanges/${vhost}/payments/publish`, {
        routing_key: 'payment.result.test',
        properties: { delivery_mode: 2, content_type: 'application/json' },
        payload: JSON.stringify(event),
        payload_encoding: 'string',
      });
      if (!(answer as { routed: boolean }).routed) throw new Error('no queue took the event');
    },
    ticket: (orderId, ttlS) =>
      jwt(secret, { aud: 'payment-notifier', merchant_id: MERCHANT, order_id: orderId, sub: 'test', exp: Math.floor(Date.now() / 1000) + ttlS }),
    acknowledged: async () => (await acks()) > acksBefore,
    async restart(signal) {
      await end(program.child, signal);
      program = await start();
      proxy.target = program.port;
    },
    async close() {
      proxy.close();
      await end(program.child, 'SIGTERM');
      await broker.call('DELETE', `vhosts/${vhost}`);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

interface Broker {
  amqp: string;
  user: string;
  call(method: string, path: string, body?: object): Promise<unknown>;
}

/** From the environment, else from what `scripts/broker up .run/test` writes. */
function settings(): Broker {
  let file = '';
  try {
    file = readFileSync(resolve('../../.run/test/env'), 'utf8');
  } catch {}
  const setting = (name: string): string => {
    const value = process.env[name] || new RegExp(`^${name}=(.*)$`, 'm').exec(file)?.[1];
    if (!value) throw new Error(`${name} is not set: run scripts/broker up .run/test, or set it`);
    return value;
  };
  const amqp = new URL(setting('AMQP_URL'));
  const management = setting('MANAGEMENT_URL').replace(/\/$/, '');
  const login = `${decodeURIComponent(amqp.username)}:${decodeURIComponent(amqp.password)}`;
  return {
    amqp: `amqp://${amqp.username}:${amqp.password}@${amqp.host}`,
    user: decodeURIComponent(amqp.username),
    async call(method, path, body) {
      const response = await fetch(`${management}/api/${path}`, {
        method,
        headers: { authorization: `Basic ${Buffer.from(login).toString('base64')}`, 'content-type': 'application/json' },
        body: body && JSON.stringify(body),
      });
      const text = await response.text();
      if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
      return text ? JSON.parse(text) : undefined;
    },
  };
}

interface Program {
  child: ChildProcess;
  port: number;
  admin: string;
}

async function ready({ admin }: Program): Promise<void> {
  const end = Date.now() + START_TIMEOUT_MS;
  while (!(await fetch(`http://${admin}/readyz`)).ok) {
    if (Date.now() > end) throw new Error('the program is not ready');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function run(environment: NodeJS.ProcessEnv, folder: string): Promise<Program> {
  const path = resolve(process.env['PAYMENT_NOTIFIER_BIN'] || '../../target/debug/payment-notifier');
  const child = spawn(path, ['serve'], { cwd: folder, env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
  const log: string[] = [];
  return new Promise((done, fail) => {
    const give = (error: Error): void => {
      child.kill('SIGKILL');
      fail(new Error(`${error.message}\n${log.slice(-20).join('\n')}`));
    };
    const timer = setTimeout(() => give(new Error('the program did not start')), START_TIMEOUT_MS);
    child.on('error', give);
    child.on('exit', (code) => give(new Error(`the program ended with ${code}`)));
    for (const output of [child.stdout, child.stderr]) {
      createInterface(output).on('line', (line) => {
        log.push(line);
        const found = /"listening"/.test(line) && /"http":"([^"]+)"/.exec(line);
        if (!found) return;
        clearTimeout(timer);
        done({ child, port: Number(found[1]!.split(':').pop()), admin: /"admin":"([^"]+)"/.exec(line)![1]! });
      });
    }
  });
}

function end(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  return new Promise((done) => {
    child.removeAllListeners('exit');
    if (child.exitCode !== null || child.signalCode) return done();
    const timer = setTimeout(() => child.kill('SIGKILL'), 15_000);
    child.on('exit', () => {
      clearTimeout(timer);
      done();
    });
    child.kill(signal);
  });
}

function jwt(secret: string, claims: object): string {
  const text = [{ alg: 'HS256', typ: 'JWT' }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}
