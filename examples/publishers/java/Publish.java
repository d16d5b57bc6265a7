import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Publishes one payment result and ends well only when RabbitMQ has it in a queue.
 *
 * usage: java -cp amqp-client.jar:slf4j-api.jar:slf4j-nop.jar Publish.java MERCHANT ORDER STATUS
 * AMQP_URL, EXCHANGE and ROUTING_KEY in the environment say where to.
 */
public class Publish {
    static final int DEADLINE_MS = 10_000;
    static final int PERSISTENT = 2;

    /** A CloudEvent in the structured form: everything is in the body. A real program has a JSON library for it. */
    static String cloudEvent(String id, String merchant, String order, String status) {
        // The amount is in minor units: 19.99 yuan. The time is when it happened at the payment provider.
        return String.format("{\"specversion\":\"1.0\",\"id\":\"%s\",\"source\":\"/merchants/%s\",\"type\":\"payment.result\","
            + "\"time\":\"%s\",\"datacontenttype\":\"application/json\",\"data\":{\"merchant_id\":\"%s\",\"order_id\":\"%s\","
            + "\"status\":\"%s\",\"amount\":{\"value\":1999,\"currency\":\"CNY\"},\"provider\":\"example\"}}",
            id, merchant, Instant.now(), merchant, order, status);
    }

    static void publish(String id, String merchant, String order, String status) throws Exception {
        ConnectionFactory factory = new ConnectionFactory();
        factory.setUri(setting("AMQP_URL", "amqp://127.0.0.1/%2f"));
        factory.setConnectionTimeout(DEADLINE_MS);
        factory.setAutomaticRecoveryEnabled(false);
        try (Connection connection = factory.newConnection()) {
            Channel channel = connection.createChannel();
            channel.confirmSelect();
            AtomicBoolean returned = new AtomicBoolean();
            channel.addReturnListener(message -> returned.set(true));
            AMQP.BasicProperties properties = new AMQP.BasicProperties.Builder()
                .contentType("application/cloudevents+json")
                .deliveryMode(PERSISTENT)
                .messageId(id)
                .build();
            byte[] body = cloudEvent(id, merchant, order, status).getBytes(StandardCharsets.UTF_8);
            boolean mandatory = true; // that no queue takes it is an error
            channel.basicPublish(setting("EXCHANGE", "payments"), setting("ROUTING_KEY", "payment.result.example"), mandatory, properties, body);
            channel.waitForConfirmsOrDie(DEADLINE_MS);
            // What comes back comes before its confirm, which is positive all the same.
            if (returned.get()) throw new IllegalStateException("no queue is bound for it");
        }
    }

    static String setting(String name, String otherwise) {
        String value = System.getenv(name);
        return value == null || value.isEmpty() ? otherwise : value;
    }

    static void fail(String why) {
        System.err.println("not published: " + why);
        System.exit(1);
    }

    public static void main(String[] arguments) {
        if (arguments.length != 3 || !String.join("", arguments).matches("[\\w.-]+")) {
            System.err.println("usage: java Publish.java MERCHANT ORDER STATUS (letters, digits, _ . and -)");
            System.exit(1);
        }
        // Of this event. Whoever sends it again, after a crash, say, sends the same id, and it counts once.
        String id = UUID.randomUUID().toString();
        FutureTask<Void> publishing = new FutureTask<>(() -> {
            publish(id, arguments[0], arguments[1], arguments[2]);
            return null;
        });
        new Thread(publishing).start();
        try {
            // By then it may wait for the answer to its close, for which the library has no limit.
            publishing.get(DEADLINE_MS, TimeUnit.MILLISECONDS);
            System.out.printf("published %s; look: scripts/pn order show %s %s%n", id, arguments[0], arguments[1]);
        } catch (TimeoutException error) {
            fail("no confirm in " + DEADLINE_MS + " ms");
        } catch (ExecutionException error) {
            fail(error.getCause().getMessage());
        } catch (InterruptedException error) {
            fail("interrupted");
        }
    }
}
