package com.example.inquiry.provider;

import com.example.inquiry.WorkerProperties;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.springframework.stereotype.Component;

/** The accounts of all merchants, each with its rate limit. */
@Component
public class Accounts {
    /** After "too often". */
    private static final Duration PAUSE = Duration.ofSeconds(5);

    private final Map<String, List<PaymentProvider>> merchants = new HashMap<>();

    Accounts(WorkerProperties properties) {
        for (WorkerProperties.Merchant merchant : properties.merchants()) {
            List<PaymentProvider> accounts = new ArrayList<>();
            if (merchant.wechatPay() != null) {
                accounts.add(new Limited(new WechatPay(merchant.wechatPay(), properties.queryTimeout()), new RateLimit(properties.queriesPerS())));
            }
            if (merchant.alipay() != null) {
                accounts.add(new Limited(new Alipay(merchant.alipay(), properties.queryTimeout()), new RateLimit(properties.queriesPerS())));
            }
            merchants.put(merchant.id(), accounts);
        }
    }

    /** @param provider null: all of the merchant. Empty if there is none to ask */
    public List<PaymentProvider> of(String merchantId, String provider) {
        return merchants.getOrDefault(merchantId, List.of()).stream().filter(account -> provider == null || provider.equals(account.name())).toList();
    }

    private record Limited(PaymentProvider account, RateLimit limit) implements PaymentProvider {
        @Override
        public String name() {
            return account.name();
        }

        @Override
        public Optional<ProviderResult> query(String orderId) {
            try {
                limit.await();
                return account.query(orderId);
            } catch (QueryFailed failed) {
                if (failed.isLimited()) {
                    limit.pause(PAUSE);
                }
                throw failed;
            } catch (InterruptedException stopping) {
                Thread.currentThread().interrupt();
                throw QueryFailed.because("stopping");
            }
        }
    }
}
