package com.example.shop;

import static com.example.testing.Environment.until;
import static com.example.testing.FakeWechatPay.transaction;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.example.shop.events.PayerMessages;
import com.example.shop.order.Order;
import com.example.shop.order.OrderRepository;
import com.example.shop.outbox.Outbox;
import com.example.shop.outbox.OutboxMessage;
import com.example.shop.outbox.OutboxRelay;
import com.example.shop.outbox.OutboxRepository;
import com.example.shop.payment.PaymentService;
import com.example.shop.payment.PaymentStatus;
import com.example.shop.payment.ProviderResult;
import com.example.testing.FakeWechatPay.Notification;
import com.example.testing.Page;
import com.fasterxml.jackson.databind.JsonNode;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.AfterAllCallback;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.springframework.amqp.core.Message;
import org.springframework.amqp.core.MessageDeliveryMode;
import org.springframework.amqp.rabbit.core.RabbitTemplate;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.boot.test.context.SpringBootTest;
import org.springframework.boot.test.context.TestConfiguration;
import org.springframework.boot.test.web.client.TestRestTemplate;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Primary;
import org.springframework.http.HttpEntity;
import org.springframework.http.HttpHeaders;
import org.springframework.http.HttpMethod;
import org.springframework.http.HttpStatus;
import org.springframework.http.ResponseEntity;
import org.springframework.test.annotation.DirtiesContext;
import org.springframework.test.context.DynamicPropertyRegistry;
import org.springframework.test.context.DynamicPropertySource;
import org.springframework.transaction.support.TransactionTemplate;

/** The whole way, from the order to the page, and what happens when something dies on it. */
@ExtendWith(ShopIT.Afterwards.class)
@SpringBootTest(webEnvironment = SpringBootTest.WebEnvironment.RANDOM_PORT)
@DirtiesContext
class ShopIT {
    private static final String PAYER = "oFakePayer";
    private static final long AMOUNT_FEN = 1999;
    private static final Surroundings around = start();

    @Autowired private TestRestTemplate http;
    @Autowired private OrderRepository orders;
    @Autowired private OutboxRepository outbox;
    @Autowired private Outbox messagesToSend;
    @Autowired private OutboxRelay relay;
    @Autowired private PaymentService payments;
    @Autowired private TransactionTemplate transaction;
    @Autowired private RecordedMessages messages;
    private final RabbitTemplate rabbit = new RabbitTemplate(around.connection);

    private static Surroundings start() {
        try {
            return new Surroundings();
        } catch (Exception error) {
            throw new IllegalStateException(error);
        }
    }

    @DynamicPropertySource
    static void properties(DynamicPropertyRegistry registry) {
        around.properties(registry);
    }

    /** Named before Spring's extension, so that it comes after it: the shop is closed before what it needs. */
    static class Afterwards implements AfterAllCallback {
        @Override
        public void afterAll(ExtensionContext context) throws Exception {
            around.close();
        }
    }

    static class RecordedMessages implements PayerMessages {
        final List<String> sent = new CopyOnWriteArrayList<>();

        @Override
        public void send(Order order, String status) {
            sent.add(order.id() + " " + status);
        }
    }

    @TestConfiguration
    static class Recording {
        @Bean
        @Primary
        RecordedMessages recordedMessages() {
            return new RecordedMessages();
        }
    }

    private record Bought(String orderId, String ticket) {
    }

    private Bought buy() {
        JsonNode created = http.exchange("/orders", HttpMethod.POST, as(PAYER, Map.of("item", "green-tea", "quantity", 1)), JsonNode.class).getBody();
        assertThat(created.path("amount_fen").asLong()).isEqualTo(AMOUNT_FEN);
        return new Bought(created.path("order_id").asText(), created.path("ticket").path("ticket").asText());
    }

    private static HttpEntity<Object> as(String payer, Object body) {
        HttpHeaders headers = new HttpHeaders();
        headers.set("X-Payer", payer);
        return new HttpEntity<>(body, headers);
    }

    private HttpStatus callBack(Notification notification) {
        HttpHeaders headers = new HttpHeaders();
        notification.headers().forEach(headers::set);
        headers.set("Content-Type", "application/json");
        ResponseEntity<String> answer = http.postForEntity("/callbacks/wechat-pay", new HttpEntity<>(notification.body(), headers), String.class);
        return HttpStatus.valueOf(answer.getStatusCode().value());
    }

    private HttpStatus pay(Bought bought, String transactionId) throws Exception {
        return callBack(around.wechatPay.notification(transaction(bought.orderId(), transactionId, "SUCCESS", AMOUNT_FEN)));
    }

    private OutboxMessage message(String transactionId) {
        return outbox.findByEventId("wechat_pay:" + transactionId + ":SUCCESS").orElseThrow();
    }

    private Order order(Bought bought) {
        return orders.findById(bought.orderId()).orElseThrow();
    }

    @Test
    void thePageHasTheResultOfTheCallbackAndAnotherCallbackAddsNothing() throws Exception {
        Bought bought = buy();
        try (Page page = around.notifier.page(bought.ticket())) {
            page.frame("subscribed");
            Notification notification = around.wechatPay.notification(transaction(bought.orderId(), "4200-1", "SUCCESS", AMOUNT_FEN));
            assertThat(callBack(notification)).isEqualTo(HttpStatus.NO_CONTENT);
            JsonNode payment = page.result();
            page.acknowledge(bought.orderId(), payment.path("version").asInt());
            assertThat(payment.path("status").asText()).isEqualTo("succeeded");
            assertThat(payment.path("amount").path("value").asLong()).isEqualTo(AMOUNT_FEN);
            assertThat(order(bought).status()).isEqualTo(Order.Status.PAID);

            long rows = outbox.count();
            assertThat(callBack(notification)).isEqualTo(HttpStatus.NO_CONTENT);
            assertThat(pay(bought, "4200-1")).isEqualTo(HttpStatus.NO_CONTENT);
            assertThat(outbox.count()).isEqualTo(rows);
            assertThat(order(bought).needsReview()).isFalse();
        }
    }

    @Test
    void whatIsNotFromWechatPayIsRefused() throws Exception {
        Bought bought = buy();
        Map<String, Object> plaintext = transaction(bought.orderId(), "4200-2", "SUCCESS", AMOUNT_FEN);
        Notification genuine = around.wechatPay.notification(plaintext);
        assertThat(callBack(new Notification(genuine.headers(), genuine.body().replace("TRANSACTION", "transaction")))).isEqualTo(HttpStatus.UNAUTHORIZED);
        assertThat(callBack(new Notification(Map.of(), genuine.body()))).isEqualTo(HttpStatus.UNAUTHORIZED);
        assertThat(callBack(around.wechatPay.notification(plaintext, Instant.now().minusSeconds(301)))).isEqualTo(HttpStatus.UNAUTHORIZED);
        assertThat(callBack(around.wechatPay.notification(transaction("nobodysOrder", "4200-3", "SUCCESS", 1)))).isEqualTo(HttpStatus.NOT_FOUND);
        // Genuine, and not about a payment.
        assertThat(callBack(around.wechatPay.notification(Map.of("out_refund_no", "R1", "refund_status", "SUCCESS")))).isEqualTo(HttpStatus.NO_CONTENT);
        assertThat(order(bought).status()).isEqualTo(Order.Status.PENDING);
        assertThat(http.exchange("/orders/" + bought.orderId(), HttpMethod.GET, as("oSomebodyElse", null), String.class).getStatusCode()).isEqualTo(HttpStatus.NOT_FOUND);
    }

    @Test
    void aResultThatWasCommittedWhileRabbitMqWasAwayIsPublishedLater() throws Exception {
        Bought bought = buy();
        try (Page page = around.notifier.page(bought.ticket())) {
            page.frame("subscribed");
            around.broker.cut();
            try {
                // WeChat Pay gets its answer: the result is safe.
                assertThat(pay(bought, "4200-4")).isEqualTo(HttpStatus.NO_CONTENT);
                until("the relay has tried in vain", () -> message("4200-4").attempts() >= 2);
                assertThat(message("4200-4").sentAt()).isNull();
                assertThat(message("4200-4").lastError()).isNotNull();
                assertThat(page.hasResult()).isFalse();
            } finally {
                around.broker.heal();
            }
            assertThat(page.result().path("status").asText()).isEqualTo("succeeded");
            until("the row is marked", () -> message("4200-4").sentAt() != null);
        }
    }

    @Test
    void whatIsRolledBackIsNotPublished() throws Exception {
        Bought bought = buy();
        ProviderResult result = new ProviderResult("wechat_pay", bought.orderId(), "4200-5", "SUCCESS", PaymentStatus.SUCCEEDED, OffsetDateTime.now(), AMOUNT_FEN, "CNY");
        assertThatThrownBy(() -> transaction.executeWithoutResult(status -> {
            payments.record(result);
            assertThat(outbox.existsByEventId(result.eventId())).isTrue();
            throw new IllegalStateException("the shop fails after it has written");
        })).isInstanceOf(IllegalStateException.class);
        assertThat(outbox.existsByEventId(result.eventId())).isFalse();
        assertThat(order(bought).status()).isEqualTo(Order.Status.PENDING);
    }

    @Test
    void theShopAsksWhenAPageWaitsAndNoCallbackComes() throws Exception {
        Bought bought = buy();
        around.wechatPay.put(transaction(bought.orderId(), "4200-6", "SUCCESS", AMOUNT_FEN));
        Bought unpaid = buy();
        try (Page page = around.notifier.page(bought.ticket()); Page other = around.notifier.page(unpaid.ticket())) {
            assertThat(page.result().path("status").asText()).isEqualTo("succeeded");
            until("the unpaid order was asked for", () -> around.wechatPay.queries().contains(unpaid.orderId()));
            assertThat(other.hasResult()).isFalse();
            assertThat(order(unpaid).status()).isEqualTo(Order.Status.PENDING);
        }
        // The callback that was late after all says the same.
        assertThat(pay(bought, "4200-6")).isEqualTo(HttpStatus.NO_CONTENT);
        assertThat(order(bought).needsReview()).isFalse();
    }

    @Test
    void thePayerIsInformedOnceIfNoPageHasShownTheResult() throws Exception {
        Bought bought = buy();
        try (Page page = around.notifier.page(bought.ticket())) {
            page.frame("subscribed");
            assertThat(pay(bought, "4200-7")).isEqualTo(HttpStatus.NO_CONTENT);
            // It goes without having acknowledged.
            page.result();
        }
        String expected = bought.orderId() + " succeeded";
        until("the payer is informed", () -> messages.sent.contains(expected));
        publish("undelivered", bought.orderId());
        publish("conflict", bought.orderId());
        until("the repetition was taken", () -> order(bought).needsReview() && isEmpty("undelivered"));
        assertThat(messages.sent).containsOnlyOnce(expected);
    }

    @Test
    void anOrderThatWasPaidTwiceIsLookedAt() throws Exception {
        Bought bought = buy();
        pay(bought, "4200-8");
        assertThat(order(bought).needsReview()).isFalse();
        pay(bought, "4200-9");
        assertThat(order(bought).needsReview()).isTrue();
        assertThat(order(bought).transactionId()).isEqualTo("4200-8");
        until("both are published", () -> message("4200-8").sentAt() != null && message("4200-9").sentAt() != null);
    }

    @Test
    void anOrderWhoseResultsContradictEachOtherIsLookedAt() throws Exception {
        Bought bought = buy();
        pay(bought, "4200-10");
        // Some other system says that this very payment failed, later.
        String failed = """
                {"event_id": "other-1", "merchant_id": "shop", "order_id": "%s", "status": "failed", "occurred_at": "%s",
                 "provider_transaction_id": "4200-10"}""".formatted(bought.orderId(), Instant.now().plusSeconds(5));
        rabbit.send("payments", "payment.result.other", new Message(failed.getBytes()));
        until("the program has told of it, and the shop has marked it", () -> order(bought).needsReview());
        assertThat(order(bought).status()).isEqualTo(Order.Status.PAID);
    }

    @Test
    void severalRelaysPublishEachRowOnce() throws Exception {
        int rows = 120;
        declareAndBind("relay-test", "relay.test");
        transaction.executeWithoutResult(status -> {
            for (int row = 0; row < rows; row++) {
                messagesToSend.add("relay-test-" + row, "relay.test", Map.of("row", row));
            }
        });
        ExecutorService instances = Executors.newFixedThreadPool(3);
        try {
            List<Callable<Void>> relays = Collections.nCopies(3, () -> {
                relay.relay();
                return null;
            });
            for (Future<Void> done : instances.invokeAll(relays)) {
                done.get();
            }
        } finally {
            instances.shutdown();
        }
        // The scheduled relay may hold some still.
        until("all are marked", () -> outbox.countBySentAtIsNullAndRoutingKey("relay.test") == 0);
        List<String> ids = new ArrayList<>();
        for (Message message; (message = rabbit.receive("relay-test")) != null;) {
            ids.add(message.getMessageProperties().getMessageId());
            assertThat(message.getMessageProperties().getReceivedDeliveryMode()).isEqualTo(MessageDeliveryMode.PERSISTENT);
        }
        assertThat(ids).hasSize(rows).doesNotHaveDuplicates();
    }

    @Test
    void whatNoQueueTakesStaysUntilOneDoes() throws Exception {
        transaction.executeWithoutResult(status -> messagesToSend.add("unroutable-1", "nobody.listens", Map.of()));
        until("it came back", () -> outbox.findByEventId("unroutable-1").orElseThrow().lastError() != null);
        assertThat(outbox.findByEventId("unroutable-1").orElseThrow().lastError()).startsWith("returned");
        declareAndBind("somebody", "nobody.listens");
        until("it is marked", () -> outbox.findByEventId("unroutable-1").orElseThrow().sentAt() != null);
        assertThat(rabbit.receive("somebody")).isNotNull();
    }

    @Test
    void whatCannotBeReadIsDeadLettered() throws Exception {
        rabbit.convertAndSend("payment-notifier.events", "payment.inquiry", "{\"data\": 1}".getBytes());
        until("it is in the queue for dead letters", () -> rabbit.receive("shop.payment.dead") != null);
    }

    private void declareAndBind(String queue, String routingKey) {
        rabbit.execute(channel -> {
            channel.queueDeclare(queue, true, false, false, null);
            return channel.queueBind(queue, "payments", routingKey);
        });
    }

    private void publish(String type, String orderId) {
        String event = "{\"id\":\"x\",\"type\":\"payment." + type + "\",\"data\":{\"merchant_id\":\"shop\",\"order_id\":\"" + orderId + "\",\"status\":\"succeeded\"}}";
        rabbit.convertAndSend("payment-notifier.events", "payment." + type, event.getBytes());
    }

    private boolean isEmpty(String queue) {
        return Boolean.TRUE.equals(rabbit.execute(channel -> channel.messageCount("shop.payment." + queue) == 0));
    }
}
