package com.example.shop.ticket;

import com.fasterxml.jackson.databind.PropertyNamingStrategies.SnakeCaseStrategy;
import com.fasterxml.jackson.databind.annotation.JsonNaming;
import java.time.Instant;

/** What a page shows to payment-notifier; the page asks for another before it runs out. */
@JsonNaming(SnakeCaseStrategy.class)
public record Ticket(String ticket, Instant expiresAt) {
}
