package com.example.shop.events;

import com.example.shop.ShopProperties;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.springframework.amqp.AmqpRejectAndDontRequeueException;
import org.springframework.amqp.core.BindingBuilder;
import org.springframework.amqp.core.Declarable;
import org.springframework.amqp.core.Declarables;
import org.springframework.amqp.core.Queue;
import org.springframework.amqp.core.QueueBuilder;
import org.springframework.amqp.core.TopicExchange;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.autoconfigure.amqp.RabbitRetryTemplateCustomizer;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.retry.policy.SimpleRetryPolicy;

/**
 * The shop's queues for payment-notifier's events, one for each type: a slow query at WeChat Pay must not delay a message to a
 * payer. Each is bounded, and what cannot be handled goes to one queue for dead letters.
 */
@Configuration(proxyBeanMethods = false)
class EventQueues {
    private static final List<String> TYPES = List.of("undelivered", "conflict", "inquiry");
    private static final int LENGTH_MAX = 100_000;
    /** Counts only deliveries that ended with the death of the shop or of its connection; the listeners' own retries come first. */
    private static final int DELIVERY_LIMIT = 10;

    private final String prefix;

    EventQueues(ShopProperties properties) {
        prefix = properties.events().queues();
    }

    @Bean
    Declarables eventTopology(ShopProperties properties) {
        // As payment-notifier declares it, so that either may start first.
        TopicExchange events = new TopicExchange(properties.events().exchange(), true, false);
        String dead = prefix + ".dead";
        List<Declarable> all = new ArrayList<>(List.of(events, QueueBuilder.durable(dead).quorum().maxLength(LENGTH_MAX).build()));
        for (String type : TYPES) {
            Queue queue = QueueBuilder.durable(prefix + "." + type).quorum().maxLength(LENGTH_MAX).deliveryLimit(DELIVERY_LIMIT)
                    .deadLetterExchange("").deadLetterRoutingKey(dead).build();
            all.add(queue);
            all.add(BindingBuilder.bind(queue).to(events).with("payment." + type));
        }
        return new Declarables(all);
    }

    /** What can never be handled is not tried again. */
    @Bean
    RabbitRetryTemplateCustomizer retriesOfListeners(
            @Value("${spring.rabbitmq.listener.simple.retry.max-attempts}") int attempts) {
        return (target, template) -> template.setRetryPolicy(new SimpleRetryPolicy(
                attempts, Map.of(AmqpRejectAndDontRequeueException.class, false), true, true));
    }
}
