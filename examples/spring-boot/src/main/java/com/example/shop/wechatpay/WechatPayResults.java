package com.example.shop.wechatpay;

import com.example.shop.payment.PaymentStatus;
import com.example.shop.payment.ProviderResult;
import com.wechat.pay.java.service.payments.model.Transaction;
import com.wechat.pay.java.service.payments.model.TransactionAmount;
import java.time.OffsetDateTime;
import java.util.Optional;

/** From WeChat Pay's words to the shop's. */
final class WechatPayResults {
    private static final String PROVIDER = "wechat_pay";

    private WechatPayResults() {
    }

    /** Empty while the order can still be paid, and where the plaintext is not a payment's. */
    static Optional<ProviderResult> of(Transaction transaction) {
        if (transaction == null || transaction.getOutTradeNo() == null || transaction.getTradeState() == null) {
            return Optional.empty();
        }
        return status(transaction.getTradeState()).map(status -> {
            TransactionAmount amount = transaction.getAmount();
            boolean paid = status == PaymentStatus.SUCCEEDED && amount != null && amount.getTotal() != null;
            return new ProviderResult(
                    PROVIDER,
                    transaction.getOutTradeNo(),
                    transaction.getTransactionId(),
                    transaction.getTradeState().name(),
                    status,
                    // Of an order that was closed, WeChat Pay says no time.
                    transaction.getSuccessTime() == null ? OffsetDateTime.now() : OffsetDateTime.parse(transaction.getSuccessTime()),
                    paid ? Long.valueOf(amount.getTotal()) : null,
                    paid && amount.getCurrency() != null ? amount.getCurrency() : "CNY");
        });
    }

    private static Optional<PaymentStatus> status(Transaction.TradeStateEnum state) {
        return switch (state) {
            // What was refunded was paid.
            case SUCCESS, REFUND -> Optional.of(PaymentStatus.SUCCEEDED);
            case CLOSED -> Optional.of(PaymentStatus.EXPIRED);
            case REVOKED -> Optional.of(PaymentStatus.CANCELED);
            case PAYERROR -> Optional.of(PaymentStatus.FAILED);
            case NOTPAY, USERPAYING, ACCEPT -> Optional.empty();
        };
    }
}
