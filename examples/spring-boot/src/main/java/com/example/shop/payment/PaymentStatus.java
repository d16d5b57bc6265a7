package com.example.shop.payment;

import com.example.shop.order.Order;
import com.fasterxml.jackson.annotation.JsonValue;

/** The final states of payment-notifier. */
public enum PaymentStatus {
    SUCCEEDED("succeeded", Order.Status.PAID),
    FAILED("failed", Order.Status.FAILED),
    CANCELED("canceled", Order.Status.CANCELED),
    EXPIRED("expired", Order.Status.EXPIRED);

    private final String text;
    private final Order.Status orderStatus;

    PaymentStatus(String text, Order.Status orderStatus) {
        this.text = text;
        this.orderStatus = orderStatus;
    }

    @JsonValue
    public String text() {
        return text;
    }

    public Order.Status orderStatus() {
        return orderStatus;
    }
}
