package com.example.shop.outbox;

import jakarta.persistence.Entity;
import jakarta.persistence.GeneratedValue;
import jakarta.persistence.GenerationType;
import jakarta.persistence.Id;
import jakarta.persistence.Table;
import java.time.Duration;
import java.time.Instant;

/** A message that is to be published, until {@code sentAt} says that RabbitMQ has confirmed it. */
@Entity
@Table(name = "outbox")
public class OutboxMessage {
    private static final int DOUBLINGS_MAX = 20;

    @Id
    @GeneratedValue(strategy = GenerationType.IDENTITY)
    private Long id;

    private String eventId;
    private String routingKey;
    private String body;
    private Instant createdAt;
    private int attempts;
    private Instant nextAttemptAt;
    private String lastError;
    private Instant sentAt;

    protected OutboxMessage() {
    }

    OutboxMessage(String eventId, String routingKey, String body) {
        this.eventId = eventId;
        this.routingKey = routingKey;
        this.body = body;
        this.createdAt = Instant.now();
        this.nextAttemptAt = createdAt;
    }

    void sent() {
        attempts++;
        sentAt = Instant.now();
        lastError = null;
    }

    /** A payment result is never given up: the waits grow up to {@code longest}, and somebody is told by the log. */
    void failed(String error, Duration first, Duration longest) {
        Duration wait = first.multipliedBy(1L << Math.min(attempts, DOUBLINGS_MAX));
        attempts++;
        lastError = error;
        nextAttemptAt = Instant.now().plus(wait.compareTo(longest) < 0 ? wait : longest);
    }

    public String eventId() {
        return eventId;
    }

    public String routingKey() {
        return routingKey;
    }

    public String body() {
        return body;
    }

    public int attempts() {
        return attempts;
    }

    public String lastError() {
        return lastError;
    }

    public Instant sentAt() {
        return sentAt;
    }
}
