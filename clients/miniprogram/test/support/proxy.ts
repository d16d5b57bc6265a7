import net from 'node:net';

/** A TCP proxy that does to connections what mobile networks and gateways do. */
export interface Proxy {
  port: number;
  target: number;
  /** Answers WebSocket handshakes with 403. */
  forbidsSockets: boolean;
  /** Cuts each open connection in the middle of the next bytes that the service sends. */
  cutMidFrame(): void;
  close(): void;
}

export async function startProxy(target: number): Promise<Proxy> {
  const connections = new Set<{ cut: boolean; socket: net.Socket }>();
  const server = net.createServer((socket) => {
    const connection = { cut: false, socket };
    let upstream: net.Socket | undefined;
    connections.add(connection);
    const end = (): void => {
      connections.delete(connection);
      socket.destroy();
      upstream?.destroy();
    };
    socket.on('error', end).on('close', end);
    socket.once('data', (first) => {
      if (proxy.forbidsSockets && /upgrade: websocket/i.test(first.toString('latin1'))) {
        return socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n');
      }
      upstream = net.connect(proxy.target, '127.0.0.1');
      upstream.on('error', end).on('close', end);
      upstream.on('data', (data) => {
        if (!connection.cut) return void socket.write(data);
        socket.write(data.subarray(0, Math.ceil(data.length / 2)), end);
      });
      upstream.write(first);
      socket.on('data', (data) => upstream!.write(data));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const proxy: Proxy = {
    port: (server.address() as net.AddressInfo).port,
    target,
    forbidsSockets: false,
    cutMidFrame: () => connections.forEach((connection) => (connection.cut = true)),
    close() {
      server.close();
      connections.forEach(({ socket }) => socket.destroy());
    },
  };
  return proxy;
}
