<?php
// Publishes one payment result and ends well only when RabbitMQ has it in a queue.
//
// usage: php publish.php MERCHANT ORDER STATUS        (composer require php-amqplib/php-amqplib)
// AMQP_URL, EXCHANGE and ROUTING_KEY in the environment say where to.

declare(strict_types=1);

use PhpAmqpLib\Connection\AMQPConnectionConfig;
use PhpAmqpLib\Connection\AMQPConnectionFactory;
use PhpAmqpLib\Exception\AMQPTimeoutException;
use PhpAmqpLib\Message\AMQPMessage;

// Composer's, or that of Debian's package php-amqplib.
require is_file(__DIR__ . '/vendor/autoload.php') ? __DIR__ . '/vendor/autoload.php' : 'PhpAmqpLib/autoload.php';

const DEADLINE_S = 10;

/** A CloudEvent in the structured form: everything is in the body. */
function cloud_event(string $merchant, string $order, string $status): array
{
    return [
        'specversion' => '1.0',
        // Of this event. Whoever sends it again, after a crash, say, sends the same id, and it counts once.
        'id' => bin2hex(random_bytes(16)),
        'source' => "/merchants/$merchant",
        'type' => 'payment.result',
        // When it happened at the payment provider.
        'time' => (new DateTimeImmutable('now', new DateTimeZone('UTC')))->format('Y-m-d\TH:i:s.up'),
        'datacontenttype' => 'application/json',
        'data' => [
            'merchant_id' => $merchant,
            'order_id' => $order,
            'status' => $status,
            'amount' => ['value' => 1999, 'currency' => 'CNY'], // minor units: 19.99 yuan
            'provider' => 'example',
        ],
    ];
}

function connection_config(string $url): AMQPConnectionConfig
{
    $parts = (parse_url($url) ?: []) + ['scheme' => '', 'host' => '', 'user' => 'guest', 'pass' => 'guest', 'path' => '/'];
    if (!in_array($parts['scheme'], ['amqp', 'amqps'], true) || $parts['host'] === '') {
        throw new InvalidArgumentException('AMQP_URL is not an AMQP address');
    }
    $config = new AMQPConnectionConfig();
    $config->setIsSecure($parts['scheme'] === 'amqps');
    $config->setHost($parts['host']);
    $config->setPort($parts['port'] ?? ($config->isSecure() ? 5671 : 5672));
    $config->setUser(rawurldecode($parts['user']));
    $config->setPassword(rawurldecode($parts['pass']));
    $config->setVhost(rawurldecode(substr($parts['path'], 1)) ?: '/');
    $config->setConnectionTimeout(DEADLINE_S);
    $config->setReadTimeout(DEADLINE_S);
    $config->setWriteTimeout(DEADLINE_S);
    $config->setChannelRPCTimeout(DEADLINE_S);
    return $config;
}

function publish(array $event): void
{
    $connection = AMQPConnectionFactory::create(connection_config(getenv('AMQP_URL') ?: 'amqp://127.0.0.1/'));
    // After a failure it would wait for an answer to its close, and a broker that confirms nothing may not answer that either.
    $connection->set_close_on_destruct(false);
    $channel = $connection->channel();
    $channel->confirm_select();
    $channel->set_return_listener(fn () => throw new RuntimeException('no queue is bound for it'));
    $channel->set_nack_handler(fn () => throw new RuntimeException('RabbitMQ did not confirm it'));
    $message = new AMQPMessage(json_encode($event, JSON_THROW_ON_ERROR), [
        'content_type' => 'application/cloudevents+json',
        'delivery_mode' => AMQPMessage::DELIVERY_MODE_PERSISTENT,
        'message_id' => $event['id'],
    ]);
    $mandatory = true; // that no queue takes it is an error
    $channel->basic_publish($message, getenv('EXCHANGE') ?: 'payments', getenv('ROUTING_KEY') ?: 'payment.result.example', $mandatory);
    $channel->wait_for_pending_acks_returns(DEADLINE_S);
    $connection->close();
}

if ($argc !== 4) {
    fwrite(STDERR, "usage: php publish.php MERCHANT ORDER STATUS\n");
    exit(1);
}
try {
    $event = cloud_event(...array_slice($argv, 1));
    publish($event);
    echo "published {$event['id']}; look: scripts/pn order show $argv[1] $argv[2]\n";
} catch (Throwable $error) {
    $why = $error instanceof AMQPTimeoutException ? 'no confirm in ' . DEADLINE_S . ' s' : $error->getMessage();
    fwrite(STDERR, "not published: $why\n");
    exit(1);
}
