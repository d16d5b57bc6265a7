package com.example.inquiry;

import static com.example.testing.Environment.until;
import static com.example.testing.FakeWechatPay.transaction;
import static org.assertj.core.api.Assertions.assertThat;

import com.example.testing.FakeWechatPay;
import com.example.testing.Page;
import com.example.testing.PaymentNotifier;
import com.example.testing.Vhost;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.net.URI;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.AfterAllCallback;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.springframework.amqp.core.Message;
import org.springframework.amqp.rabbit.connection.CachingConnectionFactory;
import org.springframework.amqp.rabbit.core.RabbitTemplate;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.boot.test.context.SpringBootTest;
import org.springframework.test.annotation.DirtiesContext;
import org.springframework.test.context.DynamicPropertyRegistry;
import org.springframework.test.context.DynamicPropertySource;

/** The worker between the real program, the real broker, and providers of the test's own. No callback is ever sent. */
@ExtendWith(InquiryWorkerIT.Afterwards.class)
@SpringBootTest
@DirtiesContext
class InquiryWorkerIT {
    private static final String QUEUE = "shop.inquiry";
    private static final int RETRIES_MAX = 2;
    private static final Surroundings around = start();

    private final RabbitTemplate rabbit = new RabbitTemplate(around.connection);
    @Autowired private ObjectMapper json;
    @Autowired private InquiryAnswerer answerer;

    static final class Surroundings {
        final Vhost vhost = new Vhost();
        final FakeWechatPay wechatPay = new FakeWechatPay();
        final FakeAlipay alipay = new FakeAlipay();
        final PaymentNotifier notifier = new PaymentNotifier(vhost, Map.of());
        // What README.md says that the worker needs.
        final String workerUrl = vhost.userUrl(vhost.port(), "^shop\\.inquiry(\\..*)?$",
                "^(payments|amq\\.default|shop\\.inquiry(\\..*)?)$", "^(payment-notifier\\.events|shop\\.inquiry(\\..*)?)$");
        final CachingConnectionFactory connection = new CachingConnectionFactory(URI.create(vhost.url()));

        Surroundings() throws Exception {
        }

        void close() throws Exception {
            connection.destroy();
            notifier.close();
            alipay.close();
            wechatPay.close();
            vhost.close();
        }
    }

    private static Surroundings start() {
        try {
            return new Surroundings();
        } catch (Exception error) {
            throw new IllegalStateException(error);
        }
    }

    /** Named before Spring's extension, so that it comes after it: the worker is closed before what it needs. */
    static class Afterwards implements AfterAllCallback {
        @Override
        public void afterAll(ExtensionContext context) throws Exception {
            around.close();
        }
    }

    @DynamicPropertySource
    static void properties(DynamicPropertyRegistry registry) {
        registry.add("spring.rabbitmq.addresses", () -> around.workerUrl);
        registry.add("worker.retry-after", () -> "200ms");
        registry.add("worker.retries-max", () -> RETRIES_MAX);
        registry.add("worker.queries-per-s", () -> 50);
        String wechatPay = "worker.merchants[0].wechat-pay.";
        registry.add("worker.merchants[0].id", () -> "shop");
        registry.add(wechatPay + "mchid", () -> FakeWechatPay.MCHID);
        registry.add(wechatPay + "merchant-serial", () -> FakeWechatPay.MERCHANT_SERIAL);
        registry.add(wechatPay + "private-key-file", around.wechatPay::merchantPrivateKeyFile);
        registry.add(wechatPay + "platform-key-id", () -> FakeWechatPay.PLATFORM_KEY_ID);
        registry.add(wechatPay + "platform-key-file", around.wechatPay::platformPublicKeyFile);
        registry.add(wechatPay + "api-v3-key", () -> FakeWechatPay.API_V3_KEY);
        registry.add(wechatPay + "base-url", around.wechatPay::url);
        registry.add("worker.merchants[0].alipay.app-id", () -> FakeAlipay.APP_ID);
        registry.add("worker.merchants[0].alipay.private-key-file", around.alipay::appPrivateKeyFile);
        registry.add("worker.merchants[0].alipay.public-key-file", around.alipay::platformPublicKeyFile);
        registry.add("worker.merchants[0].alipay.base-url", around.alipay::url);
    }

    /** An inquiry as the program publishes it. */
    private void inquire(String orderId) {
        String event = """
                {"specversion": "1.0", "id": "payment.inquiry:shop:%1$s:0:1", "type": "payment.inquiry",
                 "data": {"merchant_id": "shop", "order_id": "%1$s", "waited_s": 5, "step": 1, "status": "unknown", "version": 0}}""";
        rabbit.send("payment-notifier.events", "payment.inquiry", new Message(event.formatted(orderId).getBytes()));
    }

    private void watchResults(String queue, String provider) {
        rabbit.execute(channel -> {
            channel.queueDeclare(queue, true, false, false, null);
            return channel.queueBind(queue, "payments", "payment.result." + provider);
        });
    }

    private JsonNode result(String queue, String orderId) throws Exception {
        return until("a result of " + orderId, () -> {
            Message message = rabbit.receive(queue);
            JsonNode result = message == null ? null : json.readTree(message.getBody());
            return result != null && result.path("order_id").asText().equals(orderId) ? result : null;
        });
    }

    @Test
    void thePageHasItsResultThoughTheCallbackWasLost() throws Exception {
        try (Page page = around.notifier.page(around.notifier.ticket("LOST1"))) {
            page.frame("subscribed");
            around.wechatPay.put(transaction("LOST1", "4200-1", "SUCCESS", 4200));
            Instant paid = Instant.now();
            JsonNode payment = page.result();
            long afterMs = Duration.between(paid, Instant.now()).toMillis();
            System.out.println("the page had its result " + afterMs + " ms after the payment");
            assertThat(payment.path("status").asText()).isEqualTo("succeeded");
            assertThat(payment.path("amount").path("value").asLong()).isEqualTo(4200);
        }
    }

    @Test
    void whatAlipaySaysIsPublishedAndTheSameAnswerIsTheSameEvent() throws Exception {
        watchResults("alipay-results", "alipay");
        around.alipay.put("ALI1", "TRADE_SUCCESS", "19.9", "2026-11-28 13:30:05");
        inquire("ALI1");
        JsonNode first = result("alipay-results", "ALI1");
        assertThat(first.path("occurred_at").asText()).isEqualTo("2026-11-28T13:30:05+08:00");
        assertThat(first.path("amount").path("value").asLong()).isEqualTo(1990);
        assertThat(first.path("provider_transaction_id").asText()).isEqualTo("2026ALI1");
        // Not by an inquiry: it would share the first one's answer, if that is not settled yet.
        answerer.answer(new Inquiry("shop", "ALI1", null));
        assertThat(result("alipay-results", "ALI1")).isEqualTo(first);
        around.alipay.put("ALI2", "TRADE_SUCCESS", "1", "2026-11-28 13:30:05");
        inquire("ALI2");
        assertThat(result("alipay-results", "ALI2").path("status").asText()).isEqualTo("succeeded");
    }

    @Test
    void whatIsNotPaidYetIsNotPublishedAndNeverFailed() throws Exception {
        watchResults("open-results", "*");
        around.wechatPay.put(transaction("OPEN1", null, "NOTPAY", 0));
        around.alipay.put("OPEN1", "WAIT_BUYER_PAY", "1.00", null);
        // Closed at WeChat Pay, and still payable at Alipay.
        around.wechatPay.put(transaction("HALF1", null, "CLOSED", 0));
        around.alipay.put("HALF1", "WAIT_BUYER_PAY", "1.00", null);
        // Closed at WeChat Pay, and not heard of at Alipay: the payer may be about to pay there.
        around.wechatPay.put(transaction("HALF2", null, "CLOSED", 0));
        for (String order : List.of("OPEN1", "NEVER1", "HALF1", "HALF2")) {
            answerer.answer(new Inquiry("shop", order, null));
        }
        assertThat(around.wechatPay.queries()).contains("OPEN1", "NEVER1", "HALF1", "HALF2");
        assertThat(rabbit.receive("open-results")).isNull();
        // Closed at both: nobody can pay it any more.
        around.wechatPay.put(transaction("HALF1", null, "CLOSED", 0));
        around.alipay.put("HALF1", "TRADE_CLOSED", "1.00", null);
        inquire("HALF1");
        assertThat(result("open-results", "HALF1").path("status").asText()).isEqualTo("expired");
    }

    @Test
    void anOrderIsAskedForOnceAtATime() throws Exception {
        for (int page = 0; page < 10; page++) {
            inquire("MANY1");
        }
        until("it was asked", () -> around.wechatPay.queries().contains("MANY1") && count(QUEUE) == 0);
        assertThat(around.wechatPay.concurrentMax("MANY1")).isEqualTo(1);
    }

    @Test
    void aProviderThatFailsIsAskedAgainLater() throws Exception {
        watchResults("retry-results", "wechat_pay");
        around.wechatPay.put(transaction("BUSY1", "4200-2", "SUCCESS", 100));
        around.wechatPay.failNext("BUSY1", 1);
        inquire("BUSY1");
        assertThat(result("retry-results", "BUSY1").path("status").asText()).isEqualTo("succeeded");
        around.wechatPay.failNext("BUSY2", RETRIES_MAX + 1);
        inquire("BUSY2");
        until("it is given up", () -> isDead("BUSY2"));
    }

    @Test
    void whatIsNoInquiryGoesToTheDeadQueue() throws Exception {
        rabbit.send("payment-notifier.events", "payment.inquiry", new Message("NOISE1".getBytes()));
        until("it is there", () -> isDead("NOISE1"));
    }

    private boolean isDead(String text) {
        Message message = rabbit.receive(QUEUE + ".dead");
        return message != null && new String(message.getBody()).contains(text);
    }

    private long count(String queue) {
        return rabbit.execute(channel -> channel.messageCount(queue));
    }
}
