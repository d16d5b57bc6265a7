// Serves this folder and the SDK's browser build: node serve.mjs [port] [address of the service]
// The service must allow this page's origin: PAYMENT_NOTIFIER__HTTP__ALLOWED_ORIGINS=http://127.0.0.1:8000
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const FILES = {
  '/': ['text/html', join(here, 'index.html')],
  '/page.css': ['text/css', join(here, 'page.css')],
  '/page.js': ['text/javascript', join(here, 'page.js')],
  '/payment-notifier.browser.js': ['text/javascript', join(here, '../../clients/miniprogram/dist/payment-notifier.browser.js')],
};

export async function serve(port, service) {
  const server = http.createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    const send = (status, type, body) => response.writeHead(status, { 'content-type': `${type}; charset=utf-8`, 'cache-control': 'no-cache' }).end(body);
    if (pathname === '/config.js') return send(200, 'text/javascript', `window.CONFIG = ${JSON.stringify({ service: server.service })};\n`);
    const file = FILES[pathname];
    if (!file) return send(404, 'text/plain', 'not found\n');
    try {
      send(200, file[0], await readFile(file[1]));
    } catch {
      send(500, 'text/plain', `${pathname} is not built: npm run build in clients/miniprogram\n`);
    }
  });
  server.service = service;
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  return server;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [port = 8000, service = 'http://127.0.0.1:8080'] = process.argv.slice(2);
  await serve(Number(port), service);
  console.log(`http://127.0.0.1:${port} for the service at ${service}`);
}
