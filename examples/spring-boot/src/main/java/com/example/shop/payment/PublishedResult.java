package com.example.shop.payment;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.databind.PropertyNamingStrategies.SnakeCaseStrategy;
import com.fasterxml.jackson.databind.annotation.JsonNaming;

/** The message to the exchange {@code payments}, in the plain form of docs/PROTOCOL.md. */
@JsonNaming(SnakeCaseStrategy.class)
@JsonInclude(JsonInclude.Include.NON_NULL)
record PublishedResult(
        String eventId,
        String merchantId,
        String orderId,
        PaymentStatus status,
        String occurredAt,
        Amount amount,
        String provider,
        String providerTransactionId,
        String providerStatus) {

    /** @param value in minor units: 1999 is 19.99 yuan */
    record Amount(long value, String currency) {
    }

    static PublishedResult of(String merchantId, ProviderResult result) {
        Amount amount = result.amountFen() == null ? null : new Amount(result.amountFen(), result.currency());
        return new PublishedResult(result.eventId(), merchantId, result.orderId(), result.status(), result.occurredAt().toString(),
                amount, result.provider(), result.transactionId(), result.providerStatus());
    }
}
