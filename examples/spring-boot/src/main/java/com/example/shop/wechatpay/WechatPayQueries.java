package com.example.shop.wechatpay;

import com.example.shop.ShopProperties;
import com.example.shop.payment.ProviderResult;
import com.wechat.pay.java.core.RSAPublicKeyConfig;
import com.wechat.pay.java.core.exception.ServiceException;
import com.wechat.pay.java.core.http.DefaultHttpClientBuilder;
import com.wechat.pay.java.core.http.HttpClient;
import com.wechat.pay.java.service.payments.jsapi.JsapiService;
import com.wechat.pay.java.service.payments.jsapi.model.QueryOrderByOutTradeNoRequest;
import java.util.Optional;
import java.util.Set;
import org.springframework.stereotype.Component;

/** Asks WeChat Pay what became of an order. The SDK signs requests and verifies answers. */
@Component
public class WechatPayQueries {
    // The first is documented, the second is seen too.
    private static final Set<String> NOT_THERE = Set.of("ORDER_NOT_EXIST", "ORDERNOTEXIST");

    private final JsapiService service;
    private final String mchid;

    WechatPayQueries(ShopProperties properties) {
        ShopProperties.WechatPay account = properties.wechatPay();
        ShopProperties.PlatformKey key = account.platformKeys().get(0);
        RSAPublicKeyConfig config = new RSAPublicKeyConfig.Builder()
                .merchantId(account.mchid())
                .privateKeyFromPath(account.privateKeyFile().toString())
                .merchantSerialNumber(account.merchantSerial())
                .publicKeyId(key.id())
                .publicKeyFromPath(key.file().toString())
                .apiV3Key(account.apiV3Key())
                .build();
        int timeoutMs = Math.toIntExact(account.timeout().toMillis());
        HttpClient http = new DefaultHttpClientBuilder().config(config).connectTimeoutMs(timeoutMs).readTimeoutMs(timeoutMs).build();
        mchid = account.mchid();
        service = new JsapiService.Builder()
                .config(config)
                .httpClient(account.baseUrl() == null ? http : new RedirectedHttpClient(http, account.baseUrl()))
                .build();
    }

    /**
     * Empty while the order can still be paid. An order that WeChat Pay has not heard of is one of these: the payer has not come
     * as far as the password.
     *
     * @throws RuntimeException if there is no answer that can be trusted: ask again later
     */
    public Optional<ProviderResult> query(String orderId) {
        QueryOrderByOutTradeNoRequest request = new QueryOrderByOutTradeNoRequest();
        request.setMchid(mchid);
        request.setOutTradeNo(orderId);
        try {
            return WechatPayResults.of(service.queryOrderByOutTradeNo(request));
        } catch (ServiceException error) {
            if (NOT_THERE.contains(error.getErrorCode())) {
                return Optional.empty();
            }
            throw error;
        }
    }
}
