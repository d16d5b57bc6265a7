package com.example.testing;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.Signature;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.crypto.Cipher;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.SecretKeySpec;

/** WeChat Pay with keys of its own: signs and encrypts notifications, verifies queries and signs the answers. */
public final class FakeWechatPay implements AutoCloseable {
    public static final String MCHID = "1900000001";
    public static final String MERCHANT_SERIAL = "5157F09EFDC096DE15EBE81A47057A7232F1B8E1";
    public static final String PLATFORM_KEY_ID = "PUB_KEY_ID_0119000000012026";
    public static final String API_V3_KEY = "0123456789abcdefghijklmnopqrstuv";
    private static final Pattern QUERY = Pattern.compile("/v3/pay/transactions/out-trade-no/([^/?]+)");
    private static final Pattern AUTHORIZATION = Pattern.compile("(\\w+)=\"([^\"]*)\"");
    /** An answer takes a while, so that questions can meet. */
    private static final int ANSWER_MS = 50;
    private static final int TAG_BITS = 128;

    private final ObjectMapper json = new ObjectMapper();
    private final KeyPair platform = rsa();
    private final KeyPair merchant = rsa();
    private final Map<String, Map<String, Object>> orders = new ConcurrentHashMap<>();
    private final List<String> queries = new CopyOnWriteArrayList<>();
    private final Map<String, AtomicInteger> failures = new ConcurrentHashMap<>();
    private final Map<String, AtomicInteger> concurrent = new ConcurrentHashMap<>();
    private final Map<String, Integer> concurrentMax = new ConcurrentHashMap<>();
    private final HttpStub server = new HttpStub(this::answer);

    public FakeWechatPay() throws Exception {
    }

    /** Headers and body of a notification. */
    public record Notification(Map<String, String> headers, String body) {
    }

    /** The plaintext of a transaction, as notifications and queries have it. */
    public static Map<String, Object> transaction(String orderId, String transactionId, String tradeState, long amountFen) {
        Map<String, Object> plaintext = new LinkedHashMap<>();
        plaintext.put("mchid", MCHID);
        plaintext.put("appid", "wx0000000000000001");
        plaintext.put("out_trade_no", orderId);
        plaintext.put("trade_state", tradeState);
        if (transactionId != null) {
            plaintext.put("transaction_id", transactionId);
            plaintext.put("success_time", OffsetDateTime.now(ZoneOffset.ofHours(8)).withNano(0).toString());
            plaintext.put("amount", Map.of("total", amountFen, "payer_total", amountFen, "currency", "CNY", "payer_currency", "CNY"));
            plaintext.put("payer", Map.of("openid", "oFakePayer"));
        }
        return plaintext;
    }

    public Notification notification(Map<String, Object> plaintext) throws Exception {
        return notification(plaintext, Instant.now());
    }

    public Notification notification(Map<String, Object> plaintext, Instant at) throws Exception {
        String nonce = UUID.randomUUID().toString().substring(0, 12);
        Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
        cipher.init(Cipher.ENCRYPT_MODE, new SecretKeySpec(API_V3_KEY.getBytes(UTF_8), "AES"), new GCMParameterSpec(TAG_BITS, nonce.getBytes(UTF_8)));
        cipher.updateAAD("transaction".getBytes(UTF_8));
        Map<String, Object> resource = Map.of(
                "original_type", "transaction",
                "algorithm", "AEAD_AES_256_GCM",
                "ciphertext", Base64.getEncoder().encodeToString(cipher.doFinal(json.writeValueAsBytes(plaintext))),
                "associated_data", "transaction",
                "nonce", nonce);
        String body = json.writeValueAsString(Map.of("id", UUID.randomUUID().toString(), "create_time", OffsetDateTime.now().toString(),
                "resource_type", "encrypt-resource", "event_type", "TRANSACTION.SUCCESS", "resource", resource));
        return new Notification(signed(body, at), body);
    }

    private Map<String, String> signed(String body, Instant at) throws GeneralSecurityException {
        String timestamp = String.valueOf(at.getEpochSecond());
        String nonce = UUID.randomUUID().toString();
        Signature signature = Signature.getInstance("SHA256withRSA");
        signature.initSign(platform.getPrivate());
        signature.update((timestamp + "\n" + nonce + "\n" + body + "\n").getBytes(UTF_8));
        return Map.of("Wechatpay-Serial", PLATFORM_KEY_ID, "Wechatpay-Timestamp", timestamp, "Wechatpay-Nonce", nonce,
                "Wechatpay-Signature", Base64.getEncoder().encodeToString(signature.sign()));
    }

    /** What queries of this order are answered from here on. */
    public void put(Map<String, Object> transaction) {
        orders.put((String) transaction.get("out_trade_no"), transaction);
    }

    /** The order numbers that were asked for. */
    public List<String> queries() {
        return queries;
    }

    /** The next queries of this order are answered with {@code SYSTEM_ERROR}. */
    public void failNext(String orderId, int times) {
        failures.put(orderId, new AtomicInteger(times));
    }

    /** How many queries of this order were open at once, at most. */
    public int concurrentMax(String orderId) {
        return concurrentMax.getOrDefault(orderId, 0);
    }

    private HttpStub.Response answer(HttpStub.Request request) throws Exception {
        Matcher query = QUERY.matcher(request.target());
        int status = 200;
        Object body;
        if (!query.find() || !isSigned(request)) {
            status = 401;
            body = Map.of("code", "SIGN_ERROR", "message", "the signature does not fit");
        } else if (fails(query.group(1))) {
            status = 500;
            body = Map.of("code", "SYSTEM_ERROR", "message", "try again");
        } else {
            body = find(query.group(1));
            if (body == null) {
                status = 404;
                body = Map.of("code", "ORDER_NOT_EXIST", "message", "no such order");
            }
        }
        String text = json.writeValueAsString(body);
        Map<String, String> headers = new LinkedHashMap<>(signed(text, Instant.now()));
        headers.put("Content-Type", "application/json");
        return new HttpStub.Response(status, headers, text);
    }

    private boolean fails(String orderId) {
        AtomicInteger left = failures.get(orderId);
        return left != null && left.getAndDecrement() > 0;
    }

    private Object find(String orderId) throws InterruptedException {
        queries.add(orderId);
        AtomicInteger open = concurrent.computeIfAbsent(orderId, key -> new AtomicInteger());
        concurrentMax.merge(orderId, open.incrementAndGet(), Math::max);
        Thread.sleep(ANSWER_MS);
        open.decrementAndGet();
        return orders.get(orderId);
    }

    private boolean isSigned(HttpStub.Request request) throws GeneralSecurityException {
        Map<String, String> given = new LinkedHashMap<>();
        Matcher fields = AUTHORIZATION.matcher(request.headers().getOrDefault("authorization", ""));
        while (fields.find()) {
            given.put(fields.group(1), fields.group(2));
        }
        Signature signature = Signature.getInstance("SHA256withRSA");
        signature.initVerify(merchant.getPublic());
        signature.update(String.join("\n", request.method(), request.target(), given.get("timestamp"), given.get("nonce_str"), request.body(), "").getBytes(UTF_8));
        return MCHID.equals(given.get("mchid")) && MERCHANT_SERIAL.equals(given.get("serial_no"))
                && signature.verify(Base64.getDecoder().decode(given.getOrDefault("signature", "")));
    }

    public String url() {
        return server.url();
    }

    /** The file of the merchant's private key, which signs queries. */
    public Path merchantPrivateKeyFile() {
        return pem("PRIVATE KEY", merchant.getPrivate().getEncoded());
    }

    /** The file of the key that verifies notifications and answers. */
    public Path platformPublicKeyFile() {
        return pem("PUBLIC KEY", platform.getPublic().getEncoded());
    }

    private static Path pem(String kind, byte[] key) {
        String text = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(key);
        try {
            Path file = Files.createTempFile("wechat-pay-", ".pem");
            file.toFile().deleteOnExit();
            return Files.writeString(file, "-----BEGIN " + kind + "-----\n" + text + "\n-----END " + kind + "-----\n");
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private static KeyPair rsa() throws GeneralSecurityException {
        KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA");
        generator.initialize(2048);
        return generator.generateKeyPair();
    }

    @Override
    public void close() throws IOException {
        server.close();
    }
}
