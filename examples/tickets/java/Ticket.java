import static java.nio.charset.StandardCharsets.UTF_8;

import java.time.Instant;
import java.util.Base64;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/** Mints a ticket for one page: java Ticket.java MERCHANT ORDER SUB, with the shared secret in TICKET_SECRET. */
public class Ticket {
    static final int TTL_S = 15 * 60;
    static final int SECRET_BYTES_MIN = 32;

    /**
     * A JWT by HMAC-SHA256. `sub` is the payer: openid or user id. For several orders `order_id` is an array, of at most 20.
     * A real program has a JSON library; here main() lets nothing through that would need escaping.
     */
    static String mint(byte[] secret, String merchant, String order, String sub) throws Exception {
        String claims = String.format("{\"aud\":\"payment-notifier\",\"merchant_id\":\"%s\",\"order_id\":\"%s\",\"sub\":\"%s\",\"exp\":%d}",
            merchant, order, sub, Instant.now().getEpochSecond() + TTL_S);
        String signed = base64url("{\"alg\":\"HS256\",\"typ\":\"JWT\"}".getBytes(UTF_8)) + "." + base64url(claims.getBytes(UTF_8));
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(secret, "HmacSHA256"));
        return signed + "." + base64url(mac.doFinal(signed.getBytes(UTF_8)));
    }

    static String base64url(byte[] data) {
        return Base64.getUrlEncoder().withoutPadding().encodeToString(data);
    }

    static void fail(String why) {
        System.err.println(why);
        System.exit(1);
    }

    public static void main(String[] arguments) throws Exception {
        String secret = System.getenv().getOrDefault("TICKET_SECRET", "");
        if (arguments.length != 3 || !String.join("", arguments).matches("[\\w.-]+")) {
            fail("usage: java Ticket.java MERCHANT ORDER SUB (letters, digits, _ . and -)");
        }
        if (secret.getBytes(UTF_8).length < SECRET_BYTES_MIN) {
            fail("TICKET_SECRET must have at least " + SECRET_BYTES_MIN + " bytes");
        }
        System.out.println(mint(secret.getBytes(UTF_8), arguments[0], arguments[1], arguments[2]));
    }
}
