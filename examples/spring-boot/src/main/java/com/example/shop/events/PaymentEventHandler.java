package com.example.shop.events;

import com.example.shop.order.Order;
import com.example.shop.order.OrderRepository;
import com.example.shop.payment.PaymentService;
import com.example.shop.wechatpay.WechatPayQueries;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.stereotype.Component;
import org.springframework.transaction.support.TransactionTemplate;

/** What the shop does about them. Called twice with the same, each does it once. */
@Component
class PaymentEventHandler {
    private static final Logger log = LoggerFactory.getLogger(PaymentEventHandler.class);

    private final OrderRepository orders;
    private final PayerMessages messages;
    private final WechatPayQueries queries;
    private final PaymentService payments;
    private final TransactionTemplate transaction;

    PaymentEventHandler(OrderRepository orders, PayerMessages messages, WechatPayQueries queries, PaymentService payments,
            TransactionTemplate transaction) {
        this.orders = orders;
        this.messages = messages;
        this.queries = queries;
        this.payments = payments;
        this.transaction = transaction;
    }

    /** No page has seen the result. If the message cannot be sent, the mark goes with the transaction, and it is tried again. */
    void undelivered(PaymentEvent.Data data) {
        transaction.executeWithoutResult(status -> orders.lock(data.orderId()).filter(Order::markInformed)
                .ifPresent(order -> messages.send(order, data.status())));
    }

    /** Paid twice, or with another amount, or the provider has said two things: a person decides about it. */
    void conflict(PaymentEvent.Data data) {
        transaction.executeWithoutResult(status -> orders.lock(data.orderId()).ifPresent(Order::flagForReview));
        log.error("payment contradicts itself: order_id={} kinds={}", data.orderId(), data.kinds());
    }

    /** A page waits and no callback has come. No lock is held while WeChat Pay is asked. */
    void inquiry(PaymentEvent.Data data) {
        boolean open = orders.findById(data.orderId()).filter(order -> order.status() == Order.Status.PENDING).isPresent();
        if (open) {
            queries.query(data.orderId()).ifPresent(payments::record);
        }
    }
}
