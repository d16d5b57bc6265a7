import http from 'node:http';
import type net from 'node:net';
import { WebSocketServer } from 'ws';
import type { Status } from '../../src/types';
import { startProxy } from './proxy';
import type { Backend } from './scenarios';
import { createService, ticketFor, type FakeService } from './service';

/** The in-memory service behind real sockets. */
export async function startStandin(): Promise<Backend> {
  const service = createService();
  let stop = await listen(service, 0);
  const proxy = await startProxy(stop.port);
  let tickets = 0;
  return {
    url: `http://127.0.0.1:${proxy.port}`,
    proxy,
    publish: async (orderId, status) => void service.publish(orderId, status as Status),
    ticket(orderId, ttlS) {
      const ticket = ticketFor(`t${tickets++}`, ...[orderId].flat());
      setTimeout(() => service.expireNow(ticket), ttlS * 1000).unref();
      return ticket;
    },
    acknowledged: async (orderId) => service.acks.some((ack) => ack.order_id === orderId && ack.version === service.payment(orderId)?.version),
    async restart() {
      stop();
      await new Promise((resolve) => setTimeout(resolve, 1500));
      stop = await listen(service, stop.port);
    },
    async close() {
      proxy.close();
      stop();
    },
  };
}

const CORS = {
  'access-control-allow-origin': '*',
  'access-control-allow-headers': 'authorization, content-type',
};

/** What the service's demo offers in place of a merchant's back end. */
function demo(service: FakeService, path: string, body: { order_id: string; status?: Status }, send: (status: number, data: unknown) => void): void {
  if (path.endsWith('/tickets')) return send(200, { ticket: ticketFor('demo', body.order_id) });
  service.publish(body.order_id, body.status!);
  send(202, {});
}

async function listen(service: FakeService, port: number): Promise<(() => void) & { port: number }> {
  const sockets = new WebSocketServer({ noServer: true });
  const later = (ms: number, run: () => void): (() => void) => {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  };
  const server = http.createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const body = Buffer.concat(parts).toString();
      const send = (status: number, data: unknown): void => {
        response.writeHead(status, { 'content-type': 'application/json', ...CORS }).end(typeof data === 'string' ? data : JSON.stringify(data));
      };
      if (request.method === 'OPTIONS') return send(204, '');
      if (request.url!.startsWith('/demo/api/')) return demo(service, request.url!, JSON.parse(body), send);
      const cancel = service.http(
        {
          method: request.method as 'GET' | 'POST',
          url: `http://localhost${request.url}`,
          headers: request.headers as Record<string, string>,
          body: body ? JSON.parse(body) : undefined,
        },
        ({ status, data }) => send(status, data),
        later,
      );
      response.on('close', cancel);
    });
  });
  server.on('upgrade', (request, socket, head) =>
    sockets.handleUpgrade(request, socket, head, (ws) => {
      const end = service.socket({ send: (frame) => ws.send(JSON.stringify(frame)), cut: () => ws.terminate(), later });
      ws.on('message', (data) => end.message(data.toString()));
      ws.on('close', () => end.closed());
    }),
  );
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const stop = (): void => {
    server.close();
    server.closeAllConnections();
    sockets.clients.forEach((ws) => ws.terminate());
  };
  return Object.assign(stop, { port: (server.address() as net.AddressInfo).port });
}
