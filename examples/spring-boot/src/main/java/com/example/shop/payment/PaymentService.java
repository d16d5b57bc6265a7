package com.example.shop.payment;

import com.example.shop.ShopProperties;
import com.example.shop.order.Order;
import com.example.shop.order.OrderRepository;
import com.example.shop.outbox.Outbox;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.stereotype.Service;
import org.springframework.transaction.annotation.Transactional;

/** Writes what a provider has said. It never publishes: the outbox row of the same transaction does, once that is committed. */
@Service
public class PaymentService {
    private static final Logger log = LoggerFactory.getLogger(PaymentService.class);

    private final OrderRepository orders;
    private final Outbox outbox;
    private final ShopProperties properties;

    PaymentService(OrderRepository orders, Outbox outbox, ShopProperties properties) {
        this.orders = orders;
        this.outbox = outbox;
        this.properties = properties;
    }

    /** There is no such order here. */
    public static class UnknownOrder extends RuntimeException {
    }

    /**
     * The order's state and the message about it, both or neither. Said twice, it is written once.
     *
     * @throws UnknownOrder if the shop has no such order
     */
    @Transactional
    public void record(ProviderResult result) {
        Order order = orders.lock(result.orderId()).orElseThrow(UnknownOrder::new);
        String routingKey = "payment.result." + result.provider();
        if (!outbox.add(result.eventId(), routingKey, PublishedResult.of(properties.merchantId(), result))) {
            return;
        }
        boolean otherAmount = result.amountFen() != null && result.amountFen() != order.amountFen();
        boolean paidTwice = result.status() == PaymentStatus.SUCCEEDED && order.status() == Order.Status.PAID
                && !order.transactionId().equals(result.transactionId());
        if (otherAmount || paidTwice) {
            // The money has moved, so the page is told all the same.
            log.error("payment needs review: order_id={} other_amount={} paid_twice={}", order.id(), otherAmount, paidTwice);
            order.flagForReview();
        }
        order.settle(result.status().orderStatus(), result.transactionId());
        log.info("payment recorded: order_id={} status={}", order.id(), result.status().text());
    }
}
