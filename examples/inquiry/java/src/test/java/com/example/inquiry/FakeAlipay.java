package com.example.inquiry;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.example.testing.HttpStub;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.net.URLDecoder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.Signature;
import java.util.Base64;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;

/** Alipay's gateway for {@code alipay.trade.query}, with keys of its own: verifies requests and signs answers. */
final class FakeAlipay implements AutoCloseable {
    static final String APP_ID = "2021000000000001";

    private final ObjectMapper json = new ObjectMapper();
    private final KeyPair app = rsa();
    private final KeyPair platform = rsa();
    private final Map<String, Map<String, String>> orders = new ConcurrentHashMap<>();
    private final HttpStub server = new HttpStub(this::answer);

    FakeAlipay() throws Exception {
    }

    /** @param paidAt Beijing's time, as Alipay writes it; null if nobody has paid */
    void put(String orderId, String tradeStatus, String yuan, String paidAt) {
        Map<String, String> order = new TreeMap<>(Map.of("code", "10000", "msg", "Success", "out_trade_no", orderId,
                "trade_no", "2026" + orderId, "trade_status", tradeStatus, "total_amount", yuan));
        if (paidAt != null) {
            order.put("send_pay_date", paidAt);
        }
        orders.put(orderId, order);
    }

    private HttpStub.Response answer(HttpStub.Request request) throws Exception {
        Map<String, String> fields = new TreeMap<>();
        String[] target = request.target().split("\\?", 2);
        for (String pair : (target[1] + "&" + request.body()).split("&")) {
            String[] parts = pair.split("=", 2);
            fields.put(URLDecoder.decode(parts[0], UTF_8), URLDecoder.decode(parts.length < 2 ? "" : parts[1], UTF_8));
        }
        String sign = fields.remove("sign");
        String text = fields.entrySet().stream().filter(field -> !field.getKey().isEmpty() && !field.getValue().isEmpty())
                .map(field -> field.getKey() + "=" + field.getValue()).collect(Collectors.joining("&"));
        Signature verifier = Signature.getInstance("SHA256withRSA");
        verifier.initVerify(app.getPublic());
        verifier.update(text.getBytes(UTF_8));
        Map<String, String> found = Map.of("code", "40002", "msg", "Invalid Arguments", "sub_code", "isv.invalid-signature");
        if (verifier.verify(Base64.getDecoder().decode(sign)) && APP_ID.equals(fields.get("app_id"))) {
            found = orders.getOrDefault(json.readTree(fields.get("biz_content")).path("out_trade_no").asText(),
                    Map.of("code", "40004", "msg", "Business Failed", "sub_code", "ACQ.TRADE_NOT_EXIST"));
        }
        String node = json.writeValueAsString(found);
        Signature signer = Signature.getInstance("SHA256withRSA");
        signer.initSign(platform.getPrivate());
        signer.update(node.getBytes(UTF_8));
        String body = "{\"alipay_trade_query_response\":" + node + ",\"sign\":\"" + Base64.getEncoder().encodeToString(signer.sign()) + "\"}";
        return new HttpStub.Response(200, Map.of("Content-Type", "text/html;charset=utf-8"), body);
    }

    String url() {
        return server.url() + "/gateway.do";
    }

    /** As Alipay's key tool gives them: bare base64. */
    Path appPrivateKeyFile() {
        return file(app.getPrivate().getEncoded());
    }

    Path platformPublicKeyFile() {
        return file(platform.getPublic().getEncoded());
    }

    private static Path file(byte[] key) {
        try {
            Path file = Files.createTempFile("alipay-", ".txt");
            file.toFile().deleteOnExit();
            return Files.writeString(file, Base64.getEncoder().encodeToString(key) + "\n");
        } catch (IOException error) {
            throw new IllegalStateException(error);
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
