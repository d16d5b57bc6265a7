package com.example.inquiry;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.util.regex.Pattern;

/**
 * Which order a page waits for.
 *
 * @param provider null if payment-notifier does not know it
 */
record Inquiry(String merchantId, String orderId, String provider) {
    private static final Pattern MERCHANT = Pattern.compile("[A-Za-z0-9_.-]{1,64}");
    private static final Pattern ORDER = Pattern.compile("[A-Za-z0-9_.*|@-]{1,64}");

    /** It can never be answered. The message is a stable code. */
    static class Unanswerable extends RuntimeException {
        Unanswerable(String code) {
            super(code);
        }
    }

    /** @throws Unanswerable if the body is not a {@code payment.inquiry} */
    static Inquiry parse(byte[] body, ObjectMapper json) {
        JsonNode event;
        try {
            event = json.readTree(body);
        } catch (IOException malformed) {
            throw new Unanswerable("invalid_json");
        }
        JsonNode data = event.path("data");
        if (!"payment.inquiry".equals(event.path("type").asText())) {
            throw new Unanswerable("not_an_inquiry");
        }
        if (!MERCHANT.matcher(data.path("merchant_id").asText()).matches() || !ORDER.matcher(data.path("order_id").asText()).matches()) {
            throw new Unanswerable("malformed");
        }
        return new Inquiry(data.path("merchant_id").asText(), data.path("order_id").asText(), data.path("provider").textValue());
    }

    String key() {
        return merchantId + "/" + orderId;
    }
}
