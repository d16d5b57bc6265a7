package com.example.testing;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/** Between a client and RabbitMQ; can be cut. */
public final class BrokerProxy implements AutoCloseable {
    private static final int BACKLOG = 50;

    private final int target;
    private final Set<Socket> sockets = ConcurrentHashMap.newKeySet();
    private final ServerSocket server;
    private volatile boolean open = true;

    public BrokerProxy(int target) throws IOException {
        this.target = target;
        server = new ServerSocket(0, BACKLOG, InetAddress.getLoopbackAddress());
        start(this::accept);
    }

    public int port() {
        return server.getLocalPort();
    }

    /** From here on every connection is reset at once. */
    public void cut() {
        open = false;
        sockets.forEach(BrokerProxy::closeQuietly);
    }

    public void heal() {
        open = true;
    }

    private void accept() {
        while (!server.isClosed()) {
            try {
                Socket client = server.accept();
                sockets.add(client);
                if (!open) {
                    closeQuietly(client);
                    continue;
                }
                Socket broker = new Socket(InetAddress.getLoopbackAddress(), target);
                sockets.add(broker);
                start(() -> copy(client, broker));
                start(() -> copy(broker, client));
                if (!open) {
                    cut();
                }
            } catch (IOException closed) {
                // The end of the test, or a client that has gone.
            }
        }
    }

    private void copy(Socket from, Socket to) {
        try {
            from.getInputStream().transferTo(to.getOutputStream());
        } catch (IOException gone) {
            // Either side has gone, and so the other has to.
        }
        closeQuietly(from);
        closeQuietly(to);
        sockets.remove(from);
        sockets.remove(to);
    }

    private static void start(Runnable work) {
        Thread thread = new Thread(work, "broker-proxy");
        thread.setDaemon(true);
        thread.start();
    }

    private static void closeQuietly(Socket socket) {
        try {
            socket.close();
        } catch (IOException closed) {
            // It is closed.
        }
    }

    @Override
    public void close() throws IOException {
        server.close();
        cut();
    }
}
