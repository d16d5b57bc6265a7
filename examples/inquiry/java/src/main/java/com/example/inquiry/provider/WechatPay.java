package com.example.inquiry.provider;

import com.example.inquiry.WorkerProperties;
import com.wechat.pay.java.core.RSAPublicKeyConfig;
import com.wechat.pay.java.core.exception.ServiceException;
import com.wechat.pay.java.core.http.DefaultHttpClientBuilder;
import com.wechat.pay.java.core.http.HttpClient;
import com.wechat.pay.java.service.payments.jsapi.JsapiService;
import com.wechat.pay.java.service.payments.jsapi.model.QueryOrderByOutTradeNoRequest;
import com.wechat.pay.java.service.payments.model.Transaction;
import java.time.Duration;
import java.time.OffsetDateTime;
import java.util.Optional;
import java.util.Set;

/** WeChat Pay, API v3, by wechatpay-java, which signs requests and verifies answers. */
final class WechatPay implements PaymentProvider {
    private static final Set<String> NOT_THERE = Set.of("ORDER_NOT_EXIST", "ORDERNOTEXIST");
    private static final Set<String> LIMITED = Set.of("FREQUENCY_LIMITED", "FREQUENCY_LIMIT_EXCEED", "RATELIMIT_EXCEEDED");
    private static final int TOO_MANY_REQUESTS = 429;

    private final JsapiService service;
    private final String mchid;

    WechatPay(WorkerProperties.WechatPay account, Duration timeout) {
        RSAPublicKeyConfig config = new RSAPublicKeyConfig.Builder()
                .merchantId(account.mchid())
                .privateKeyFromPath(account.privateKeyFile().toString())
                .merchantSerialNumber(account.merchantSerial())
                .publicKeyId(account.platformKeyId())
                .publicKeyFromPath(account.platformKeyFile().toString())
                .apiV3Key(account.apiV3Key())
                .build();
        int timeoutMs = Math.toIntExact(timeout.toMillis());
        HttpClient http = new DefaultHttpClientBuilder().config(config).connectTimeoutMs(timeoutMs).readTimeoutMs(timeoutMs).build();
        mchid = account.mchid();
        service = new JsapiService.Builder()
                .config(config)
                .httpClient(account.baseUrl() == null ? http : new RedirectedHttpClient(http, account.baseUrl()))
                .build();
    }

    @Override
    public String name() {
        return "wechat_pay";
    }

    @Override
    public Optional<ProviderResult> query(String orderId) {
        QueryOrderByOutTradeNoRequest request = new QueryOrderByOutTradeNoRequest();
        request.setMchid(mchid);
        request.setOutTradeNo(orderId);
        try {
            return read(service.queryOrderByOutTradeNo(request), orderId);
        } catch (ServiceException error) {
            String code = error.getErrorCode();
            if (code != null && NOT_THERE.contains(code)) {
                return Optional.empty();
            }
            boolean limited = error.getHttpStatusCode() == TOO_MANY_REQUESTS || (code != null && LIMITED.contains(code));
            throw limited ? QueryFailed.limited("limited") : QueryFailed.because("http_" + error.getHttpStatusCode());
        } catch (QueryFailed failed) {
            throw failed;
        } catch (RuntimeException error) {
            throw QueryFailed.because(error.getClass().getSimpleName());
        }
    }

    private Optional<ProviderResult> read(Transaction answer, String orderId) {
        if (!orderId.equals(answer.getOutTradeNo()) || !mchid.equals(answer.getMchid()) || answer.getTradeState() == null) {
            throw QueryFailed.because("unexpected_answer");
        }
        return switch (answer.getTradeState()) {
            case NOTPAY, USERPAYING, ACCEPT -> Optional.empty();
            // What was refunded was paid.
            case SUCCESS, REFUND -> Optional.of(result(answer, "succeeded"));
            case CLOSED -> Optional.of(result(answer, "expired"));
            case REVOKED -> Optional.of(result(answer, "canceled"));
            case PAYERROR -> Optional.of(result(answer, "failed"));
        };
    }

    private static ProviderResult result(Transaction answer, String status) {
        boolean hasAmount = answer.getAmount() != null && answer.getAmount().getTotal() != null;
        return new ProviderResult(status, answer.getTradeState().name(), answer.getTransactionId(),
                answer.getSuccessTime() == null ? null : OffsetDateTime.parse(answer.getSuccessTime()),
                hasAmount ? Long.valueOf(answer.getAmount().getTotal()) : null,
                hasAmount && answer.getAmount().getCurrency() != null ? answer.getAmount().getCurrency() : "CNY");
    }
}
