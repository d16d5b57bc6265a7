package com.example.inquiry;

import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.springframework.amqp.AmqpException;
import org.springframework.amqp.core.Message;
import org.springframework.amqp.core.MessageDeliveryMode;
import org.springframework.amqp.rabbit.connection.CorrelationData;
import org.springframework.amqp.rabbit.core.RabbitTemplate;
import org.springframework.stereotype.Component;

/** Publishes persistent and mandatory, and returns only when a queue has the message. */
@Component
class ConfirmedPublisher {
    private final RabbitTemplate rabbit;
    private final WorkerProperties properties;

    ConfirmedPublisher(RabbitTemplate rabbit, WorkerProperties properties) {
        // RabbitMQ may stop a connection that publishes (memory, disk). That must not stop acknowledgements.
        rabbit.setUsePublisherConnection(true);
        this.rabbit = rabbit;
        this.properties = properties;
    }

    /** @throws AmqpException if no queue has it, or nobody knows */
    void publish(String exchange, String routingKey, Message message) {
        message.getMessageProperties().setDeliveryMode(MessageDeliveryMode.PERSISTENT);
        CorrelationData correlation = new CorrelationData();
        rabbit.send(exchange, routingKey, message, correlation);
        try {
            boolean confirmed = correlation.getFuture().get(properties.confirmTimeout().toMillis(), TimeUnit.MILLISECONDS).isAck();
            if (!confirmed) {
                throw new AmqpException("not confirmed");
            }
        } catch (TimeoutException | ExecutionException error) {
            throw new AmqpException("no confirm in time");
        } catch (InterruptedException stopping) {
            Thread.currentThread().interrupt();
            throw new AmqpException("stopped while waiting for a confirm");
        }
        // What no queue takes is confirmed like all others; only its return tells.
        if (correlation.getReturned() != null) {
            throw new AmqpException("no queue is bound for it");
        }
    }
}
