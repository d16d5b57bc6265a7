// A bridge from RabbitMQ to pages as a team writes it in an afternoon: no store, no tickets, no limits.
// The page names its order in the URL. Each message is acknowledged once it has been sent.
import { createServer } from 'node:http';
import amqp from 'amqplib';
import { WebSocketServer } from 'ws';

const queue = 'payment-notifier.results';
const pages = new Map();

const server = createServer((_request, response) => response.writeHead(404).end());
const sockets = new WebSocketServer({ server, path: '/ws' });
sockets.on('connection', (socket, request) => {
  const order = new URL(request.url, 'http://localhost').searchParams.get('order');
  const waiting = pages.get(order) ?? new Set();
  pages.set(order, waiting.add(socket));
  socket.on('error', () => socket.terminate());
  socket.on('close', () => {
    waiting.delete(socket);
    if (waiting.size === 0 && pages.get(order) === waiting) pages.delete(order);
  });
});

const connection = await amqp.connect(process.env.AMQP_URL);
const channel = await connection.createChannel();
await channel.prefetch(300);
await channel.consume(queue, (message) => {
  const text = message.content.toString();
  const { order_id: order } = JSON.parse(text);
  for (const socket of pages.get(order) ?? []) socket.send(text);
  channel.ack(message);
});

server.listen(0, '127.0.0.1', () => console.log(`listening ${server.address().port}`));
