package com.example.shop.events;

import com.example.shop.order.Order;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.stereotype.Component;

/** Stands where the shop's own sender belongs; {@code examples/undelivered} sends WeChat's subscribe message. */
@Component
class LoggedPayerMessages implements PayerMessages {
    private static final Logger log = LoggerFactory.getLogger(LoggedPayerMessages.class);

    @Override
    public void send(Order order, String status) {
        log.info("payer to be informed: order_id={} status={}", order.id(), status);
    }
}
