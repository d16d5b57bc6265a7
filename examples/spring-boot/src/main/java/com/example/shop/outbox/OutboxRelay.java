package com.example.shop.outbox;

import com.example.shop.ShopProperties;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.amqp.AmqpException;
import org.springframework.amqp.rabbit.connection.CorrelationData;
import org.springframework.scheduling.annotation.Scheduled;
import org.springframework.stereotype.Component;
import org.springframework.transaction.support.TransactionTemplate;

/**
 * Publishes what the outbox holds, on every instance of the shop. A row is locked while it is published and marked only after
 * RabbitMQ's confirm: whatever dies in between, the row is still unsent and comes again, and payment-notifier counts its
 * {@code event_id} once.
 */
@Component
public class OutboxRelay {
    private static final Logger log = LoggerFactory.getLogger(OutboxRelay.class);
    private static final int DELETED_MAX = 1000;

    private final OutboxRepository messages;
    private final ConfirmedPublisher publisher;
    private final TransactionTemplate transaction;
    private final ShopProperties.Outbox settings;

    OutboxRelay(OutboxRepository messages, ConfirmedPublisher publisher, TransactionTemplate transaction, ShopProperties properties) {
        this.messages = messages;
        this.publisher = publisher;
        this.transaction = transaction;
        this.settings = properties.outbox();
    }

    /** Goes on without a pause while whole batches are sent, so that a backlog goes as fast as RabbitMQ takes it. */
    @Scheduled(fixedDelayString = "${shop.outbox.interval}")
    public void relay() {
        while (relayBatch() == settings.batchMax() && !Thread.currentThread().isInterrupted()) {
            log.debug("a whole batch was sent; there may be more");
        }
    }

    /** @return how many were sent */
    int relayBatch() {
        Integer sent = transaction.execute(status -> publish(messages.lockDue(Instant.now(), settings.batchMax())));
        return sent == null ? 0 : sent;
    }

    private record Sending(OutboxMessage message, CorrelationData correlation) {
    }

    private int publish(List<OutboxMessage> due) {
        List<Sending> sendings = new ArrayList<>();
        Instant deadline = Instant.now().plus(settings.confirmTimeout());
        try {
            for (OutboxMessage message : due) {
                sendings.add(new Sending(message, publisher.send(message)));
            }
        } catch (AmqpException unreachable) {
            // The rest of the batch would wait for the same connection, one after another.
            due.subList(sendings.size(), due.size()).forEach(message -> fail(message, "RabbitMQ cannot be reached"));
        }
        int sent = 0;
        for (Sending sending : sendings) {
            Optional<String> error = publisher.error(sending.correlation(), deadline);
            if (error.isEmpty()) {
                sending.message().sent();
                sent++;
            } else {
                fail(sending.message(), error.get());
            }
        }
        return sent;
    }

    private void fail(OutboxMessage message, String error) {
        message.failed(error, settings.backoff(), settings.backoffMax());
        log.warn("not published, comes again: event_id={} attempts={} error={}", message.eventId(), message.attempts(), error);
    }

    /** Sent rows are kept for a while, and then removed in small steps. */
    @Scheduled(fixedDelayString = "1m", initialDelayString = "1m")
    public void deleteSent() {
        Instant before = Instant.now().minus(settings.keep());
        transaction.executeWithoutResult(status -> messages.deleteSent(before, DELETED_MAX));
    }
}
