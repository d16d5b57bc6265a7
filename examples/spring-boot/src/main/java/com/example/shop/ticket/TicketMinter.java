package com.example.shop.ticket;

import com.auth0.jwt.JWT;
import com.auth0.jwt.algorithms.Algorithm;
import com.example.shop.ShopProperties;
import com.example.shop.order.Order;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import org.springframework.stereotype.Component;

/** Mints tickets here, without a call to payment-notifier: an order can be taken while that is down. */
@Component
public class TicketMinter {
    private static final int SECRET_BYTES_MIN = 32;

    private final ShopProperties properties;
    private final Algorithm algorithm;

    public TicketMinter(ShopProperties properties) {
        byte[] secret = properties.ticket().secret().getBytes(StandardCharsets.UTF_8);
        if (secret.length < SECRET_BYTES_MIN) {
            throw new IllegalStateException("shop.ticket.secret must have at least " + SECRET_BYTES_MIN + " bytes");
        }
        this.properties = properties;
        this.algorithm = Algorithm.HMAC256(secret);
    }

    /** A ticket for this order alone, in the name of its payer. */
    public Ticket mint(Order order) {
        Instant expiresAt = Instant.now().plus(properties.ticket().ttl()).truncatedTo(ChronoUnit.SECONDS);
        String token = JWT.create()
                .withAudience("payment-notifier")
                .withSubject(order.payer())
                .withClaim("merchant_id", properties.merchantId())
                .withClaim("order_id", order.id())
                .withExpiresAt(expiresAt)
                .sign(algorithm);
        return new Ticket(token, expiresAt);
    }
}
