package com.example.shop;

import jakarta.validation.Valid;
import jakarta.validation.constraints.NotBlank;
import jakarta.validation.constraints.NotEmpty;
import jakarta.validation.constraints.NotNull;
import jakarta.validation.constraints.Positive;
import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.springframework.boot.context.properties.ConfigurationProperties;
import org.springframework.validation.annotation.Validated;

/**
 * The settings under {@code shop}; application.yml has each with its default.
 *
 * @param merchantId what payment-notifier knows this shop by
 * @param prices the price of an item in fen, by its name. A client says what it buys, never what it costs
 */
@Validated
@ConfigurationProperties("shop")
public record ShopProperties(
        @NotBlank String merchantId,
        @NotEmpty Map<String, @Positive Long> prices,
        @NotNull @Valid Ticket ticket,
        @NotNull @Valid WechatPay wechatPay,
        @NotNull @Valid Outbox outbox,
        @NotNull @Valid Events events) {

    /**
     * @param secret the first of payment-notifier's {@code tickets.hs256_secret}, of at least 32 bytes
     * @param ttl how long a page may wait with one ticket, 24 h at most
     */
    public record Ticket(@NotBlank String secret, @NotNull Duration ttl) {
    }

    /**
     * The merchant's account, API v3.
     *
     * @param merchantSerial the serial number of the merchant's own certificate, which signs requests
     * @param platformKeys WeChat Pay's public keys. Two while one is exchanged for the other; the first is asked for in queries
     * @param baseUrl where queries go instead of WeChat Pay, for tests; may be absent
     */
    public record WechatPay(
            @NotBlank String mchid,
            @NotBlank String apiV3Key,
            @NotBlank String merchantSerial,
            @NotNull Path privateKeyFile,
            @NotEmpty List<@Valid PlatformKey> platformKeys,
            URI baseUrl,
            @NotNull Duration timeout) {
    }

    /** @param id as in the header {@code Wechatpay-Serial}: {@code PUB_KEY_ID_…} */
    public record PlatformKey(@NotBlank String id, @NotNull Path file) {
    }

    /**
     * @param exchange where payment-notifier gets results from
     * @param batchMax rows that are published and locked at once
     * @param confirmTimeout how long a batch waits for RabbitMQ's confirms
     * @param backoff the wait after a first failure; doubles with each further one, up to {@code backoffMax}
     * @param keep how long sent rows stay, for whoever asks what was published
     */
    public record Outbox(
            @NotBlank String exchange,
            @Positive int batchMax,
            @NotNull Duration confirmTimeout,
            @NotNull Duration backoff,
            @NotNull Duration backoffMax,
            @NotNull Duration keep) {
    }

    /**
     * @param exchange where payment-notifier tells what happened to results
     * @param queues the prefix of the names of the shop's own queues
     */
    public record Events(@NotBlank String exchange, @NotBlank String queues) {
    }
}
