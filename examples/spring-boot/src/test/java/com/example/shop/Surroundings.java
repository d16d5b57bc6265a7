package com.example.shop;

import com.example.testing.BrokerProxy;
import com.example.testing.FakeWechatPay;
import com.example.testing.PaymentNotifier;
import com.example.testing.Vhost;
import java.net.URI;
import java.util.Map;
import org.springframework.amqp.rabbit.connection.CachingConnectionFactory;
import org.springframework.test.context.DynamicPropertyRegistry;

/** Everything around the shop: the real program, RabbitMQ behind a proxy that can be cut, PostgreSQL, and a WeChat Pay of the test's. */
final class Surroundings implements AutoCloseable {
    final Vhost vhost = new Vhost();
    final BrokerProxy broker = new BrokerProxy(vhost.port());
    final Database database = new Database();
    final FakeWechatPay wechatPay = new FakeWechatPay();
    final PaymentNotifier notifier = new PaymentNotifier(vhost, Map.of("INQUIRY__AFTER", "1s", "ESCALATION__AFTER", "1s"));

    // What README.md says that the shop needs.
    final String shopUrl = vhost.userUrl(broker.port(), "^(shop\\.payment\\..*|payment-notifier\\.events)$",
            "^(payments|shop\\.payment\\..*|amq\\.default)$", "^(shop\\.payment\\..*|payment-notifier\\.events)$");
    /** Past the proxy, for the test itself. */
    final CachingConnectionFactory connection = new CachingConnectionFactory(URI.create(vhost.url()));

    Surroundings() throws Exception {
    }

    void properties(DynamicPropertyRegistry registry) {
        registry.add("spring.datasource.url", database::url);
        registry.add("spring.datasource.username", database::user);
        registry.add("spring.datasource.password", database::password);
        registry.add("spring.rabbitmq.addresses", () -> shopUrl);
        registry.add("spring.rabbitmq.listener.simple.retry.initial-interval", () -> "50ms");
        registry.add("shop.ticket.secret", notifier::secret);
        registry.add("shop.outbox.backoff", () -> "100ms");
        registry.add("shop.outbox.backoff-max", () -> "300ms");
        registry.add("shop.wechat-pay.mchid", () -> FakeWechatPay.MCHID);
        registry.add("shop.wechat-pay.api-v3-key", () -> FakeWechatPay.API_V3_KEY);
        registry.add("shop.wechat-pay.merchant-serial", () -> FakeWechatPay.MERCHANT_SERIAL);
        registry.add("shop.wechat-pay.private-key-file", wechatPay::merchantPrivateKeyFile);
        registry.add("shop.wechat-pay.platform-keys[0].id", () -> FakeWechatPay.PLATFORM_KEY_ID);
        registry.add("shop.wechat-pay.platform-keys[0].file", wechatPay::platformPublicKeyFile);
        registry.add("shop.wechat-pay.base-url", wechatPay::url);
    }

    @Override
    public void close() throws Exception {
        connection.destroy();
        notifier.close();
        wechatPay.close();
        database.close();
        broker.close();
        vhost.close();
    }
}
