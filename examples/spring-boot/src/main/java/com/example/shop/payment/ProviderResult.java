package com.example.shop.payment;

import java.time.OffsetDateTime;

/**
 * What a provider has said of a payment, in its callback or as the answer to a query.
 *
 * @param transactionId the provider's number; null if nothing was ever paid
 * @param providerStatus as the provider says it
 * @param occurredAt when it happened there
 * @param amountFen null if nothing was paid
 */
public record ProviderResult(
        String provider,
        String orderId,
        String transactionId,
        String providerStatus,
        PaymentStatus status,
        OffsetDateTime occurredAt,
        Long amountFen,
        String currency) {

    /**
     * The same for the same news, whether it comes by callback, by the callback's repetition or by a query: then it counts once.
     */
    public String eventId() {
        return String.join(":", provider, transactionId == null ? orderId : transactionId, providerStatus);
    }
}
