package com.example.shop.events;

import com.example.shop.order.Order;

/** How a payer is told whose page is gone: a subscribe message, an SMS. */
public interface PayerMessages {
    /**
     * At most once for each order, unless the shop dies between the sending and its commit.
     *
     * @param status of the payment, as payment-notifier says it
     * @throws RuntimeException if it could not be sent: it is tried again
     */
    void send(Order order, String status);
}
