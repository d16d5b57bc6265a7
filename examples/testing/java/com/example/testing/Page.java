package com.example.testing;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;

/** What a mini-program's page does: opens a WebSocket, subscribes, reads frames. */
public final class Page implements AutoCloseable, WebSocket.Listener {
    private static final long DEADLINE_S = 20;

    private final ObjectMapper json = new ObjectMapper();
    private final BlockingQueue<JsonNode> frames = new LinkedBlockingQueue<>();
    private final StringBuilder partial = new StringBuilder();
    private final WebSocket socket;

    Page(URI address, String ticket) {
        socket = HttpClient.newHttpClient().newWebSocketBuilder().buildAsync(address, this).join();
        send(Map.of("type", "subscribe", "ticket", ticket));
    }

    public void acknowledge(String orderId, int version) {
        send(Map.of("type", "ack", "order_id", orderId, "version", version));
    }

    private void send(Map<String, Object> frame) {
        socket.sendText(json.valueToTree(frame).toString(), true).join();
    }

    @Override
    public CompletionStage<?> onText(WebSocket from, CharSequence data, boolean last) {
        partial.append(data);
        if (last) {
            try {
                frames.add(json.readTree(partial.toString()));
            } catch (Exception malformed) {
                throw new IllegalStateException(malformed);
            }
            partial.setLength(0);
        }
        from.request(1);
        return null;
    }

    /** The next frame of this type. */
    public JsonNode frame(String type) throws InterruptedException {
        return frame(type, frame -> type.equals(frame.path("type").asText()));
    }

    /** The payment, once it is final. */
    public JsonNode result() throws InterruptedException {
        return frame("a final payment", frame -> frame.path("payment").path("final").asBoolean()).path("payment");
    }

    private JsonNode frame(String what, Predicate<JsonNode> wanted) throws InterruptedException {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(DEADLINE_S);
        JsonNode frame;
        while ((frame = frames.poll(end - System.nanoTime(), TimeUnit.NANOSECONDS)) != null) {
            if (wanted.test(frame)) {
                return frame;
            }
        }
        throw new AssertionError("the page did not get: " + what);
    }

    /** A final payment that has come, without waiting for one. */
    public boolean hasResult() {
        return frames.stream().anyMatch(frame -> frame.path("payment").path("final").asBoolean());
    }

    @Override
    public void close() {
        socket.abort();
    }
}
