// The merchant's web server: a project's pages, and the tickets of its back end.
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { extname, join, normalize } from 'node:path';

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' };

/** `folder` and `ticketFor` of the server that it gives may be set at any time. */
export async function openShop() {
  const server = http.createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    const send = (status, type, body) => response.writeHead(status, { 'content-type': `${type}; charset=utf-8` }).end(body);
    try {
      if (pathname === '/payment-ticket') {
        let text = '';
        for await (const part of request) text += part;
        return send(200, 'application/json', JSON.stringify({ ticket: server.ticketFor(JSON.parse(text).order_id) }));
      }
      const file = normalize(pathname === '/' ? '/index.html' : pathname);
      send(200, TYPES[extname(file)] || 'application/octet-stream', await readFile(join(server.folder, file)));
    } catch (error) {
      send(404, 'text/plain', String(error));
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.url = `http://127.0.0.1:${server.address().port}`;
  return server;
}
