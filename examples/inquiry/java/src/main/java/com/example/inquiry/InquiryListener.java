package com.example.inquiry;

import com.example.inquiry.provider.QueryFailed;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.amqp.core.Message;
import org.springframework.amqp.rabbit.annotation.RabbitListener;
import org.springframework.scheduling.concurrent.ThreadPoolTaskExecutor;
import org.springframework.stereotype.Component;

/**
 * Takes inquiries and says what becomes of each message. It is acknowledged when its future completes: after the result is
 * confirmed, or the message itself is in the retry or the dead queue. If RabbitMQ takes none of these, it comes again.
 */
@Component
class InquiryListener {
    private static final Logger log = LoggerFactory.getLogger(InquiryListener.class);
    private static final String RETRIES = "x-retries";

    private final InquiryAnswerer answerer;
    private final ConfirmedPublisher publisher;
    private final ObjectMapper json;
    private final WorkerProperties properties;
    private final ThreadPoolTaskExecutor threads;
    /** The orders that are being queried. However many pages wait, an order is asked for once at a time. */
    private final Map<String, CompletableFuture<Void>> flights = new ConcurrentHashMap<>();

    InquiryListener(InquiryAnswerer answerer, ConfirmedPublisher publisher, ObjectMapper json, WorkerProperties properties,
            ThreadPoolTaskExecutor queryThreads) {
        this.answerer = answerer;
        this.publisher = publisher;
        this.json = json;
        this.properties = properties;
        this.threads = queryThreads;
    }

    @RabbitListener(queues = "${worker.queue}")
    CompletableFuture<Void> receive(Message message) {
        Inquiry inquiry;
        try {
            inquiry = Inquiry.parse(message.getBody(), json);
        } catch (Inquiry.Unanswerable error) {
            return CompletableFuture.runAsync(() -> bury(message, error.getMessage()), threads);
        }
        return flight(inquiry).handleAsync((done, error) -> {
            settle(message, inquiry, error == null || error.getCause() == null ? error : error.getCause());
            return null;
        }, threads);
    }

    private CompletableFuture<Void> flight(Inquiry inquiry) {
        CompletableFuture<Void> flight = new CompletableFuture<>();
        CompletableFuture<Void> other = flights.putIfAbsent(inquiry.key(), flight);
        if (other != null) {
            return other;
        }
        CompletableFuture.runAsync(() -> answerer.answer(inquiry), threads).whenComplete((done, error) -> {
            flights.remove(inquiry.key());
            if (error == null) {
                flight.complete(null);
            } else {
                flight.completeExceptionally(error);
            }
        });
        return flight;
    }

    private void settle(Message message, Inquiry inquiry, Throwable error) {
        if (error == null) {
            return;
        }
        if (error instanceof Inquiry.Unanswerable) {
            bury(message, error.getMessage());
        } else if (error instanceof QueryFailed) {
            putOff(message, inquiry, error.getMessage());
        } else {
            putOff(message, inquiry, error.getClass().getSimpleName());
        }
    }

    private void putOff(Message message, Inquiry inquiry, String code) {
        Object header = message.getMessageProperties().getHeader(RETRIES);
        int retries = header instanceof Number number ? number.intValue() : 0;
        if (retries >= properties.retriesMax()) {
            bury(message, code);
            return;
        }
        log.warn("inquiry put off: merchant_id={} order_id={} code={} retries={}", inquiry.merchantId(), inquiry.orderId(), code, retries);
        message.getMessageProperties().setHeader(RETRIES, retries + 1);
        publisher.publish("", properties.queue() + ".retry", message);
    }

    private void bury(Message message, String code) {
        log.error("inquiry not answered, put into the dead queue: code={}", code);
        publisher.publish("", properties.queue() + ".dead", message);
    }
}
