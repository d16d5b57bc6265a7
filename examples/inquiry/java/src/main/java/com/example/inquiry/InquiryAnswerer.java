package com.example.inquiry;

import com.example.inquiry.provider.Accounts;
import com.example.inquiry.provider.PaymentProvider;
import com.example.inquiry.provider.ProviderResult;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.ArrayList;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.amqp.core.Message;
import org.springframework.amqp.core.MessageBuilder;
import org.springframework.amqp.core.MessageProperties;
import org.springframework.stereotype.Component;

/** Asks, and publishes what the answers say. */
@Component
class InquiryAnswerer {
    private static final Logger log = LoggerFactory.getLogger(InquiryAnswerer.class);

    private final Accounts accounts;
    private final ConfirmedPublisher publisher;
    private final ObjectMapper json;
    private final String exchange;

    InquiryAnswerer(Accounts accounts, ConfirmedPublisher publisher, ObjectMapper json, WorkerProperties properties) {
        this.accounts = accounts;
        this.publisher = publisher;
        this.json = json;
        this.exchange = properties.exchange();
    }

    private record Found(String provider, ProviderResult result) {
        boolean isPaid() {
            return result.status().equals("succeeded");
        }
    }

    /**
     * Every payment is published: were there two, payment-notifier tells of it. An end without a payment is published only if no
     * account may still be paid.
     */
    void answer(Inquiry inquiry) {
        List<PaymentProvider> asked = accounts.of(inquiry.merchantId(), inquiry.provider());
        if (asked.isEmpty()) {
            throw new Inquiry.Unanswerable("no_account");
        }
        List<Found> found = new ArrayList<>();
        for (PaymentProvider account : asked) {
            account.query(inquiry.orderId()).ifPresent(result -> found.add(new Found(account.name(), result)));
        }
        List<Found> decided = found.stream().filter(Found::isPaid).toList();
        if (decided.isEmpty() && found.size() == asked.size()) {
            decided = found.subList(found.size() - 1, found.size());
        }
        decided.forEach(one -> publish(inquiry, one));
        log.info("{}: merchant_id={} order_id={}", decided.isEmpty() ? "not decided yet" : "result published", inquiry.merchantId(), inquiry.orderId());
    }

    private void publish(Inquiry inquiry, Found found) {
        PublishedResult result = PublishedResult.of(inquiry, found.provider(), found.result());
        try {
            Message message = MessageBuilder.withBody(json.writeValueAsBytes(result)).setContentType(MessageProperties.CONTENT_TYPE_JSON)
                    .setMessageId(result.eventId()).build();
            publisher.publish(exchange, "payment.result." + found.provider(), message);
        } catch (JsonProcessingException error) {
            throw new IllegalStateException(error);
        }
    }
}
