package com.example.shop.outbox;

import com.example.shop.ShopProperties;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.springframework.amqp.core.Message;
import org.springframework.amqp.core.MessageBuilder;
import org.springframework.amqp.core.MessageDeliveryMode;
import org.springframework.amqp.core.MessageProperties;
import org.springframework.amqp.rabbit.connection.CorrelationData;
import org.springframework.amqp.rabbit.connection.CorrelationData.Confirm;
import org.springframework.amqp.rabbit.core.RabbitTemplate;
import org.springframework.stereotype.Component;

/** Publishes persistent and mandatory, and says what RabbitMQ made of it. */
@Component
class ConfirmedPublisher {
    private final RabbitTemplate rabbit;
    private final String exchange;

    ConfirmedPublisher(RabbitTemplate rabbit, ShopProperties properties) {
        // RabbitMQ may stop a connection that publishes (memory, disk). That must not stop the listeners' acknowledgements.
        rabbit.setUsePublisherConnection(true);
        this.rabbit = rabbit;
        this.exchange = properties.outbox().exchange();
    }

    /**
     * Sends without waiting, so that a batch waits once.
     *
     * @throws org.springframework.amqp.AmqpException if RabbitMQ cannot be reached
     */
    CorrelationData send(OutboxMessage message) {
        Message amqp = MessageBuilder.withBody(message.body().getBytes(StandardCharsets.UTF_8))
                .setContentType(MessageProperties.CONTENT_TYPE_JSON)
                .setDeliveryMode(MessageDeliveryMode.PERSISTENT)
                .setMessageId(message.eventId())
                .build();
        CorrelationData correlation = new CorrelationData();
        rabbit.send(exchange, message.routingKey(), amqp, correlation);
        return correlation;
    }

    /** Waits for the confirm until {@code deadline}. Empty if a queue has the message, else why not. */
    Optional<String> error(CorrelationData correlation, Instant deadline) {
        try {
            long left = Math.max(0, deadline.toEpochMilli() - Instant.now().toEpochMilli());
            Confirm confirm = correlation.getFuture().get(left, TimeUnit.MILLISECONDS);
            // What no queue takes is confirmed like all others; only its return tells.
            if (correlation.getReturned() != null) {
                return Optional.of("returned: no queue is bound for it");
            }
            return confirm.isAck() ? Optional.empty() : Optional.of("not confirmed");
        } catch (TimeoutException late) {
            return Optional.of("no confirm in time");
        } catch (ExecutionException failed) {
            return Optional.of("not confirmed");
        } catch (InterruptedException stopping) {
            Thread.currentThread().interrupt();
            return Optional.of("stopped while waiting");
        }
    }
}
