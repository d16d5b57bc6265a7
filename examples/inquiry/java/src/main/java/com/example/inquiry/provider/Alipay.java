package com.example.inquiry.provider;

import com.alipay.api.AlipayApiException;
import com.alipay.api.AlipayClient;
import com.alipay.api.AlipayConfig;
import com.alipay.api.DefaultAlipayClient;
import com.alipay.api.domain.AlipayTradeQueryModel;
import com.alipay.api.internal.util.AlipayLogger;
import com.alipay.api.request.AlipayTradeQueryRequest;
import com.alipay.api.response.AlipayTradeQueryResponse;
import com.example.inquiry.WorkerProperties;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.math.BigDecimal;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.Locale;
import java.util.Optional;

/** Alipay, {@code alipay.trade.query}, by alipay-sdk-java, which signs requests and verifies answers. */
final class Alipay implements PaymentProvider {
    private static final String GATEWAY = "https://openapi.alipay.com/gateway.do";
    private static final ZoneOffset BEIJING = ZoneOffset.ofHours(8);
    private static final int FEN_DIGITS = 2;

    private final AlipayClient client;

    Alipay(WorkerProperties.Alipay account, Duration timeout) {
        // It would log whole answers, with their payers.
        AlipayLogger.setNeedEnableLogger(false);
        AlipayConfig config = new AlipayConfig();
        config.setServerUrl(account.baseUrl() == null ? GATEWAY : account.baseUrl().toString());
        config.setAppId(account.appId());
        config.setPrivateKey(key(account.privateKeyFile()));
        config.setAlipayPublicKey(key(account.publicKeyFile()));
        config.setConnectTimeout(Math.toIntExact(timeout.toMillis()));
        config.setReadTimeout(Math.toIntExact(timeout.toMillis()));
        try {
            client = new DefaultAlipayClient(config);
        } catch (AlipayApiException error) {
            throw new IllegalStateException("Alipay's settings for app " + account.appId() + " are not usable");
        }
    }

    @Override
    public String name() {
        return "alipay";
    }

    @Override
    public Optional<ProviderResult> query(String orderId) {
        AlipayTradeQueryModel model = new AlipayTradeQueryModel();
        model.setOutTradeNo(orderId);
        AlipayTradeQueryRequest request = new AlipayTradeQueryRequest();
        request.setBizModel(model);
        AlipayTradeQueryResponse answer;
        try {
            answer = client.execute(request);
        } catch (AlipayApiException | RuntimeException error) {
            // Its message holds the answer.
            throw QueryFailed.because("no_trusted_answer");
        }
        String subCode = answer.getSubCode() == null ? "" : answer.getSubCode();
        if (subCode.equals("ACQ.TRADE_NOT_EXIST")) {
            return Optional.empty();
        }
        if (!answer.isSuccess()) {
            boolean limited = subCode.toLowerCase(Locale.ROOT).matches(".*(call-limited|frequency).*");
            throw limited ? QueryFailed.limited(subCode) : QueryFailed.because(subCode.isEmpty() ? "refused" : subCode);
        }
        return read(answer, orderId);
    }

    private static Optional<ProviderResult> read(AlipayTradeQueryResponse answer, String orderId) {
        if (!orderId.equals(answer.getOutTradeNo()) || answer.getTradeStatus() == null) {
            throw QueryFailed.because("unexpected_answer");
        }
        return switch (answer.getTradeStatus()) {
            case "WAIT_BUYER_PAY" -> Optional.empty();
            case "TRADE_SUCCESS", "TRADE_FINISHED" -> Optional.of(result(answer, "succeeded"));
            // Nobody paid in time, or it was paid and wholly refunded: the time of payment tells.
            case "TRADE_CLOSED" -> Optional.of(result(answer, answer.getSendPayDate() == null ? "expired" : "succeeded"));
            default -> throw QueryFailed.because("unexpected_answer");
        };
    }

    private static ProviderResult result(AlipayTradeQueryResponse answer, String status) {
        OffsetDateTime paidAt = answer.getSendPayDate() == null ? null : answer.getSendPayDate().toInstant().atOffset(BEIJING);
        // Yuan in decimals. BigDecimal: 19.9 * 100 is not 1990 in floating point.
        Long fen = answer.getTotalAmount() == null ? null : new BigDecimal(answer.getTotalAmount()).movePointRight(FEN_DIGITS).longValueExact();
        return new ProviderResult(status, answer.getTradeStatus(), answer.getTradeNo(), paidAt, fen, "CNY");
    }

    /** The base64 of a PEM file, or of a file that holds nothing else: the SDK takes it bare. */
    private static String key(Path file) {
        try {
            return Files.readString(file).replaceAll("-----[^-]+-----", "").replaceAll("\\s", "");
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }
}
