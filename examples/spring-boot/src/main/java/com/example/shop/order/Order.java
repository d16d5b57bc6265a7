package com.example.shop.order;

import jakarta.persistence.Entity;
import jakarta.persistence.EnumType;
import jakarta.persistence.Enumerated;
import jakarta.persistence.Id;
import jakarta.persistence.Table;
import jakarta.persistence.Version;
import java.time.Instant;
import java.util.UUID;

/** An order of one payer. Its id is also the {@code out_trade_no} at WeChat Pay, and the {@code order_id} of the page. */
@Entity
@Table(name = "shop_order")
public class Order {
    /** What the shop knows of the payment. */
    public enum Status { PENDING, PAID, FAILED, CANCELED, EXPIRED }

    @Id
    private String id;

    // Also tells Spring Data that an order with an id of its own is new.
    @Version
    private Integer version;

    private String payer;
    private String item;
    private int quantity;
    private long amountFen;

    @Enumerated(EnumType.STRING)
    private Status status;

    private String transactionId;
    private boolean needsReview;
    private Instant informedAt;
    private Instant createdAt;

    protected Order() {
    }

    /** @param payer the openid of whoever ordered */
    public Order(String payer, String item, int quantity, long amountFen) {
        // 32 letters and digits: all that WeChat Pay takes. Nobody can guess another's.
        this.id = UUID.randomUUID().toString().replace("-", "");
        this.payer = payer;
        this.item = item;
        this.quantity = quantity;
        this.amountFen = amountFen;
        this.status = Status.PENDING;
        this.createdAt = Instant.now();
    }

    /** A payment never gets undone by a later message: what was paid stays paid, and is refunded if need be. */
    public void settle(Status settled, String transaction) {
        if (status == Status.PAID) {
            return;
        }
        status = settled;
        transactionId = transaction;
    }

    /** Somebody has to look before the goods leave: paid twice, another amount, contradicting messages. */
    public void flagForReview() {
        needsReview = true;
    }

    /** @return false if the payer was informed before */
    public boolean markInformed() {
        if (informedAt != null) {
            return false;
        }
        informedAt = Instant.now();
        return true;
    }

    public boolean isOf(String somebody) {
        return payer.equals(somebody);
    }

    public String id() {
        return id;
    }

    public String payer() {
        return payer;
    }

    public long amountFen() {
        return amountFen;
    }

    public Status status() {
        return status;
    }

    public String transactionId() {
        return transactionId;
    }

    public boolean needsReview() {
        return needsReview;
    }

    public Instant informedAt() {
        return informedAt;
    }
}
