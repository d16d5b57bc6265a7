<?php
// Mints a ticket for one page: php ticket.php MERCHANT ORDER SUB, with the shared secret in TICKET_SECRET.

declare(strict_types=1);

const TTL_S = 15 * 60;
const SECRET_BYTES_MIN = 32;

function base64url(string $data): string
{
    return rtrim(strtr(base64_encode($data), '+/', '-_'), '=');
}

/** A JWT by HMAC-SHA256. `sub` is the payer: openid or user id. For several orders `order_id` is an array, of at most 20. */
function mint(string $secret, string $merchant, string $order, string $sub): string
{
    $header = ['alg' => 'HS256', 'typ' => 'JWT'];
    $claims = [
        'aud' => 'payment-notifier',
        'merchant_id' => $merchant,
        'order_id' => $order,
        'sub' => $sub,
        'exp' => time() + TTL_S,
    ];
    $signed = implode('.', array_map(fn ($part) => base64url(json_encode($part, JSON_THROW_ON_ERROR)), [$header, $claims]));
    return $signed . '.' . base64url(hash_hmac('sha256', $signed, $secret, true));
}

function fail(string $why): never
{
    fwrite(STDERR, "$why\n");
    exit(1);
}

$secret = (string) getenv('TICKET_SECRET');
if ($argc !== 4) {
    fail('usage: php ticket.php MERCHANT ORDER SUB');
}
if (strlen($secret) < SECRET_BYTES_MIN) {
    fail('TICKET_SECRET must have at least ' . SECRET_BYTES_MIN . ' bytes');
}
echo mint($secret, ...array_slice($argv, 1)), "\n";
