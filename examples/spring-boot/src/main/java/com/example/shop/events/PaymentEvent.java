package com.example.shop.events;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.databind.PropertyNamingStrategies.SnakeCaseStrategy;
import com.fasterxml.jackson.databind.annotation.JsonNaming;
import java.util.List;

/** What payment-notifier tells, as far as the shop reads it: a CloudEvent in the structured form. */
@JsonIgnoreProperties(ignoreUnknown = true)
public record PaymentEvent(String id, String type, Data data) {
    /** @param kinds of a conflict: {@code paid_twice}, {@code amount_differs}, … */
    @JsonIgnoreProperties(ignoreUnknown = true)
    @JsonNaming(SnakeCaseStrategy.class)
    public record Data(String merchantId, String orderId, String status, List<String> kinds) {
    }
}
