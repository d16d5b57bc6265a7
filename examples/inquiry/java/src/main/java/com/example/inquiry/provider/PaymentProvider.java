package com.example.inquiry.provider;

import java.util.Optional;

/** One merchant's account at one provider. */
public interface PaymentProvider {
    /** As in {@code provider} of a result. */
    String name();

    /**
     * What became of the order's payment. Empty while it can still be paid, and if the provider has not heard of it: the payer has
     * not come as far as the password, and may yet.
     *
     * @throws QueryFailed if there is no answer that can be trusted
     */
    Optional<ProviderResult> query(String orderId);
}
