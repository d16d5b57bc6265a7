package com.example.inquiry.provider;

import java.time.OffsetDateTime;

/**
 * The end of a payment, as its provider tells it.
 *
 * @param status as payment-notifier calls it
 * @param code as the provider calls it
 * @param transactionId null if nobody paid
 * @param occurredAt null if the provider says no time
 * @param amountFen null if nobody paid
 */
public record ProviderResult(String status, String code, String transactionId, OffsetDateTime occurredAt, Long amountFen, String currency) {
}
