package com.example.shop.wechatpay;

import com.example.shop.payment.PaymentService;
import com.wechat.pay.java.service.payments.model.Transaction;
import jakarta.servlet.http.HttpServletRequest;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.http.HttpHeaders;
import org.springframework.http.HttpStatus;
import org.springframework.http.ResponseEntity;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestHeader;
import org.springframework.web.bind.annotation.RestController;

/**
 * What {@code notify_url} leads to. It is answered 204 once the result and its outbox row are committed; anything else makes
 * WeChat Pay send again for a day. RabbitMQ has no part in it, so WeChat Pay's 5 s are never spent on waiting for it.
 */
@RestController
class WechatPayCallbackController {
    private static final Logger log = LoggerFactory.getLogger(WechatPayCallbackController.class);
    private static final int BODY_BYTES_MAX = 64 * 1024;

    private final WechatPayNotifications notifications;
    private final PaymentService payments;

    WechatPayCallbackController(WechatPayNotifications notifications, PaymentService payments) {
        this.notifications = notifications;
        this.payments = payments;
    }

    record Failure(String code, String message) {
    }

    @PostMapping("/callbacks/wechat-pay")
    ResponseEntity<Failure> receive(@RequestHeader HttpHeaders headers, HttpServletRequest request) throws IOException {
        byte[] body = request.getInputStream().readNBytes(BODY_BYTES_MAX + 1);
        if (body.length > BODY_BYTES_MAX) {
            return failure(HttpStatus.PAYLOAD_TOO_LARGE, "too large");
        }
        try {
            Transaction transaction = notifications.open(headers, new String(body, StandardCharsets.UTF_8));
            // A genuine notification of another kind (a refund, profit sharing) is none of the payment's, and is not sent again.
            WechatPayResults.of(transaction).ifPresent(payments::record);
            return ResponseEntity.noContent().build();
        } catch (WechatPayNotifications.Refused refused) {
            log.warn("callback refused: {}", refused.getMessage());
            return failure(HttpStatus.UNAUTHORIZED, "signature");
        } catch (PaymentService.UnknownOrder unknown) {
            // Somebody has paid for it, so let it come again while somebody looks.
            log.error("callback for an order that is not here");
            return failure(HttpStatus.NOT_FOUND, "order");
        }
    }

    private static ResponseEntity<Failure> failure(HttpStatus status, String message) {
        return ResponseEntity.status(status).body(new Failure("FAIL", message));
    }
}
