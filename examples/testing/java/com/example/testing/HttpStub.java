package com.example.testing;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/**
 * Answers HTTP, one request on each connection. The JDK's server writes the names of headers in another case, and
 * wechatpay-java finds them in WeChat Pay's case alone.
 */
public final class HttpStub implements AutoCloseable {
    private static final int BACKLOG = 50;

    private final ServerSocket server = new ServerSocket(0, BACKLOG, InetAddress.getLoopbackAddress());
    private final Handler handler;

    /** @param headers their names in lower case */
    public record Request(String method, String target, Map<String, String> headers, String body) {
    }

    public record Response(int status, Map<String, String> headers, String body) {
    }

    public interface Handler {
        Response answer(Request request) throws Exception;
    }

    public HttpStub(Handler handler) throws IOException {
        this.handler = handler;
        start(this::accept);
    }

    public String url() {
        return "http://127.0.0.1:" + server.getLocalPort();
    }

    private void accept() {
        while (!server.isClosed()) {
            try {
                Socket socket = server.accept();
                start(() -> serve(socket));
            } catch (IOException closed) {
                return;
            }
        }
    }

    private void serve(Socket accepted) {
        try (Socket socket = accepted) {
            Response response = handler.answer(read(socket.getInputStream()));
            byte[] body = response.body().getBytes(UTF_8);
            StringBuilder head = new StringBuilder("HTTP/1.1 " + response.status() + " OK\r\nConnection: close\r\nContent-Length: " + body.length + "\r\n");
            response.headers().forEach((name, value) -> head.append(name).append(": ").append(value).append("\r\n"));
            socket.getOutputStream().write(head.append("\r\n").toString().getBytes(ISO_8859_1));
            socket.getOutputStream().write(body);
        } catch (Exception error) {
            // The client gets no answer, and its test fails by that.
            error.printStackTrace();
        }
    }

    private static Request read(InputStream in) throws IOException {
        String[] first = line(in).split(" ");
        Map<String, String> headers = new TreeMap<>();
        for (String line = line(in); !line.isEmpty(); line = line(in)) {
            String[] parts = line.split(": *", 2);
            headers.put(parts[0].toLowerCase(Locale.ROOT), parts[1]);
        }
        byte[] body = in.readNBytes(Integer.parseInt(headers.getOrDefault("content-length", "0")));
        return new Request(first[0], first[1], headers, new String(body, UTF_8));
    }

    private static String line(InputStream in) throws IOException {
        ByteArrayOutputStream line = new ByteArrayOutputStream();
        for (int next = in.read(); next != '\n'; next = in.read()) {
            if (next < 0) {
                throw new IOException("the request ends early");
            }
            if (next != '\r') {
                line.write(next);
            }
        }
        return line.toString(ISO_8859_1);
    }

    private static void start(Runnable work) {
        Thread thread = new Thread(work, "http-stub");
        thread.setDaemon(true);
        thread.start();
    }

    @Override
    public void close() throws IOException {
        server.close();
    }
}
