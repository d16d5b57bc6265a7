package com.example.inquiry;

import jakarta.validation.Valid;
import jakarta.validation.constraints.NotBlank;
import jakarta.validation.constraints.NotEmpty;
import jakarta.validation.constraints.NotNull;
import jakarta.validation.constraints.Positive;
import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.springframework.boot.context.properties.ConfigurationProperties;
import org.springframework.validation.annotation.Validated;

/**
 * The settings under {@code worker}; application.yml has each with its default.
 *
 * @param queue consumed; with {@code .retry} and {@code .dead} beside it
 * @param prefetch inquiries that are worked on at once
 * @param queriesPerS at most so many queries a second for each account
 * @param retryAfter when a provider that did not answer is asked again. An argument of the retry queue: to change it, delete that
 *     queue while it is empty
 * @param retriesMax after so many times an inquiry goes to the dead queue
 */
@Validated
@ConfigurationProperties("worker")
public record WorkerProperties(
        @NotBlank String queue,
        @NotBlank String exchange,
        @NotBlank String eventsExchange,
        @Positive int prefetch,
        @Positive double queriesPerS,
        @NotNull Duration queryTimeout,
        @NotNull Duration confirmTimeout,
        @NotNull Duration retryAfter,
        @Positive int retriesMax,
        @NotEmpty List<@Valid Merchant> merchants) {

    /** @param id as in {@code merchant_id}; it has one account or both */
    public record Merchant(@NotBlank String id, @Valid WechatPay wechatPay, @Valid Alipay alipay) {
    }

    /**
     * @param merchantSerial the serial number of the merchant's own certificate
     * @param platformKeyId {@code PUB_KEY_ID_…} of WeChat Pay's public key
     * @param baseUrl where queries go instead of WeChat Pay, for tests; may be absent
     */
    public record WechatPay(
            @NotBlank String mchid,
            @NotBlank String merchantSerial,
            @NotNull Path privateKeyFile,
            @NotBlank String platformKeyId,
            @NotNull Path platformKeyFile,
            @NotBlank String apiV3Key,
            URI baseUrl) {
    }

    /**
     * @param privateKeyFile the app's key as Alipay's key tool gives it for Java: PKCS#8, PEM or bare base64
     * @param publicKeyFile Alipay's public key (not the app's)
     */
    public record Alipay(@NotBlank String appId, @NotNull Path privateKeyFile, @NotNull Path publicKeyFile, URI baseUrl) {
    }
}
