package com.example.shop.events;

import com.example.shop.ShopProperties;
import com.example.shop.order.OrderRepository;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.amqp.AmqpRejectAndDontRequeueException;
import org.springframework.amqp.core.Message;
import org.springframework.amqp.rabbit.annotation.RabbitListener;
import org.springframework.stereotype.Component;

/**
 * Takes payment-notifier's events. A message is acknowledged when its method returns. One that throws is tried again a few times
 * and then dead-lettered. Events come at least once, so each handler can be called twice.
 */
@Component
class PaymentEventListener {
    private static final Logger log = LoggerFactory.getLogger(PaymentEventListener.class);

    private final PaymentEventHandler handler;
    private final OrderRepository orders;
    private final ObjectMapper json;
    private final String merchantId;

    PaymentEventListener(PaymentEventHandler handler, OrderRepository orders, ObjectMapper json, ShopProperties properties) {
        this.handler = handler;
        this.orders = orders;
        this.json = json;
        this.merchantId = properties.merchantId();
    }

    @RabbitListener(id = "undelivered", queues = "${shop.events.queues}.undelivered")
    void undelivered(Message message) {
        PaymentEvent event = read(message);
        if (isOurs(event)) {
            handler.undelivered(event.data());
        }
    }

    @RabbitListener(id = "conflict", queues = "${shop.events.queues}.conflict")
    void conflict(Message message) {
        PaymentEvent event = read(message);
        if (isOurs(event)) {
            handler.conflict(event.data());
        }
    }

    @RabbitListener(id = "inquiry", queues = "${shop.events.queues}.inquiry")
    void inquiry(Message message) {
        PaymentEvent event = read(message);
        if (isOurs(event)) {
            handler.inquiry(event.data());
        }
    }

    private PaymentEvent read(Message message) {
        try {
            PaymentEvent event = json.readValue(message.getBody(), PaymentEvent.class);
            if (event != null && event.data() != null && event.data().merchantId() != null && event.data().orderId() != null) {
                return event;
            }
        } catch (IOException malformed) {
            log.debug("not JSON", malformed);
        }
        throw new AmqpRejectAndDontRequeueException("not an event of payment-notifier");
    }

    /** The events of other merchants, and of orders that another system has taken, pass by. */
    private boolean isOurs(PaymentEvent event) {
        PaymentEvent.Data data = event.data();
        return merchantId.equals(data.merchantId()) && orders.existsById(data.orderId());
    }
}
