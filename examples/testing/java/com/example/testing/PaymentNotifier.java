package com.example.testing;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.File;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.util.Base64;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/** The real program, on free ports, with a store of its own. */
public final class PaymentNotifier implements AutoCloseable {
    private static final Pattern LISTENING = Pattern.compile("\"(http|admin)\":\"(127\\.0\\.0\\.1:\\d+)\"");

    private static final int TICKET_TTL_S = 600;

    private final Path folder = Files.createTempDirectory("payment-notifier-");
    private final File log = folder.resolve("log").toFile();
    private final String secret = UUID.randomUUID().toString() + UUID.randomUUID();
    private final HttpClient http = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    private final Process process;
    private final String address;

    /** @param settings more of its environment, without the prefix: {@code INQUIRY__AFTER} */
    public PaymentNotifier(Vhost vhost, Map<String, String> settings) throws Exception {
        ProcessBuilder builder = new ProcessBuilder(Environment.program(), "serve").directory(folder.toFile())
                .redirectErrorStream(true).redirectOutput(log);
        Map<String, String> environment = builder.environment();
        environment.keySet().removeIf(name -> name.startsWith("PAYMENT_NOTIFIER__"));
        environment.putAll(Map.of(
                "PAYMENT_NOTIFIER__AMQP__URL", vhost.url(),
                "PAYMENT_NOTIFIER__STORE__URL", "sqlite://" + folder + "/payments.db",
                "PAYMENT_NOTIFIER__HTTP__LISTEN", "127.0.0.1:0",
                "PAYMENT_NOTIFIER__HTTP__DRAIN_S", "1",
                "PAYMENT_NOTIFIER__ADMIN__LISTEN", "127.0.0.1:0",
                "PAYMENT_NOTIFIER__TICKETS__HS256_SECRET", secret,
                "PAYMENT_NOTIFIER__TELEMETRY__LOG_FORMAT", "json"));
        settings.forEach((key, value) -> environment.put("PAYMENT_NOTIFIER__" + key, value));
        process = builder.start();
        address = Environment.until("the program listens", () -> listening("http"));
        String admin = listening("admin");
        HttpRequest ready = HttpRequest.newBuilder(URI.create("http://" + admin + "/readyz")).build();
        Environment.until("the program is ready", () -> http.send(ready, HttpResponse.BodyHandlers.discarding()).statusCode() == 200);
    }

    private String listening(String name) throws Exception {
        String lines = Files.readString(log.toPath());
        if (!process.isAlive()) {
            throw new IllegalStateException("the program has ended: " + lines);
        }
        Matcher matcher = LISTENING.matcher(lines);
        while (matcher.find()) {
            if (matcher.group(1).equals(name)) {
                return matcher.group(2);
            }
        }
        return null;
    }

    public String secret() {
        return secret;
    }

    /** A ticket of merchant {@code shop} for one order. */
    public String ticket(String orderId) {
        String claims = "{\"aud\":\"payment-notifier\",\"merchant_id\":\"shop\",\"order_id\":\"" + orderId + "\",\"sub\":\"oFakePayer\",\"exp\":"
                + (System.currentTimeMillis() / 1000 + TICKET_TTL_S) + "}";
        String signed = base64url("{\"alg\":\"HS256\",\"typ\":\"JWT\"}".getBytes(UTF_8)) + "." + base64url(claims.getBytes(UTF_8));
        try {
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(secret.getBytes(UTF_8), "HmacSHA256"));
            return signed + "." + base64url(mac.doFinal(signed.getBytes(UTF_8)));
        } catch (GeneralSecurityException error) {
            throw new IllegalStateException(error);
        }
    }

    private static String base64url(byte[] data) {
        return Base64.getUrlEncoder().withoutPadding().encodeToString(data);
    }

    /** A page that waits, with its ticket in the first frame. */
    public Page page(String ticket) {
        return new Page(URI.create("ws://" + address + "/v1/ws"), ticket);
    }

    @Override
    public void close() throws Exception {
        process.destroy();
        if (!process.waitFor(10, TimeUnit.SECONDS)) {
            process.destroyForcibly();
        }
    }
}
