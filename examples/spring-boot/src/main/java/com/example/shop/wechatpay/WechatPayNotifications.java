package com.example.shop.wechatpay;

import com.example.shop.ShopProperties;
import com.wechat.pay.java.core.notification.NotificationParser;
import com.wechat.pay.java.core.notification.RSAPublicKeyNotificationConfig;
import com.wechat.pay.java.core.notification.RequestParam;
import com.wechat.pay.java.service.payments.model.Transaction;
import java.time.Duration;
import java.time.Instant;
import java.util.HashMap;
import java.util.Map;
import org.springframework.http.HttpHeaders;
import org.springframework.stereotype.Component;

/** Verifies and decrypts WeChat Pay's notifications. */
@Component
class WechatPayNotifications {
    private static final Duration AGE_MAX = Duration.ofMinutes(5);

    private final Map<String, NotificationParser> parsers = new HashMap<>();

    WechatPayNotifications(ShopProperties properties) {
        ShopProperties.WechatPay account = properties.wechatPay();
        // The SDK's parser takes one public key; while keys are exchanged, two are in force.
        for (ShopProperties.PlatformKey key : account.platformKeys()) {
            parsers.put(key.id(), new NotificationParser(new RSAPublicKeyNotificationConfig.Builder()
                    .publicKeyId(key.id())
                    .publicKeyFromPath(key.file().toString())
                    .apiV3Key(account.apiV3Key())
                    .build()));
        }
    }

    /** It is not from WeChat Pay, or it is old. */
    static class Refused extends Exception {
        Refused(String why) {
            super(why);
        }
    }

    /**
     * @param body as it came: the signature is over its bytes, and JSON that was read and written again is another
     * @throws Refused with a message that holds nothing of the notification
     */
    Transaction open(HttpHeaders headers, String body) throws Refused {
        NotificationParser parser = parsers.get(headers.getFirst("Wechatpay-Serial"));
        if (parser == null) {
            throw new Refused("unknown Wechatpay-Serial");
        }
        // The SDK does not look at the time. Without this, an old notification could be sent again by anybody who has seen it.
        if (!isRecent(headers.getFirst("Wechatpay-Timestamp"))) {
            throw new Refused("Wechatpay-Timestamp is not within 5 minutes");
        }
        RequestParam request = new RequestParam.Builder()
                .serialNumber(headers.getFirst("Wechatpay-Serial"))
                .timestamp(headers.getFirst("Wechatpay-Timestamp"))
                .nonce(headers.getFirst("Wechatpay-Nonce"))
                .signature(headers.getFirst("Wechatpay-Signature"))
                .body(body)
                .build();
        try {
            return parser.parse(request, Transaction.class);
        } catch (RuntimeException error) {
            // Its message holds the whole notification, which belongs in no log.
            throw new Refused("signature or encryption does not fit: " + error.getClass().getSimpleName());
        }
    }

    private static boolean isRecent(String timestamp) {
        try {
            return Duration.between(Instant.ofEpochSecond(Long.parseLong(timestamp)), Instant.now()).abs().compareTo(AGE_MAX) <= 0;
        } catch (RuntimeException malformed) {
            return false;
        }
    }
}
