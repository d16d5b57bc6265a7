package com.example.inquiry;

import com.example.inquiry.provider.ProviderResult;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.databind.PropertyNamingStrategies.SnakeCaseStrategy;
import com.fasterxml.jackson.databind.annotation.JsonNaming;
import java.time.OffsetDateTime;

/** The message to the exchange {@code payments}, in the plain form of docs/PROTOCOL.md. */
@JsonNaming(SnakeCaseStrategy.class)
@JsonInclude(JsonInclude.Include.NON_NULL)
record PublishedResult(
        String eventId,
        String merchantId,
        String orderId,
        String status,
        String occurredAt,
        Amount amount,
        String provider,
        String providerTransactionId,
        String providerStatus) {

    /** @param value in minor units */
    record Amount(long value, String currency) {
    }

    /** Asked twice, the provider says the same, and so the id is the same and the event counts once. */
    static PublishedResult of(Inquiry inquiry, String provider, ProviderResult result) {
        String transaction = result.transactionId() == null ? inquiry.orderId() : result.transactionId();
        String eventId = String.join(":", "inquiry", provider, inquiry.merchantId(), transaction, result.code());
        OffsetDateTime occurredAt = result.occurredAt() == null ? OffsetDateTime.now() : result.occurredAt();
        Amount amount = result.amountFen() == null ? null : new Amount(result.amountFen(), result.currency());
        return new PublishedResult(eventId, inquiry.merchantId(), inquiry.orderId(), result.status(), occurredAt.toString(), amount,
                provider, result.transactionId(), result.code());
    }
}
