-- By which an order is found that bore a number of the provider's.
CREATE TABLE transactions (
    merchant_id    text COLLATE "C" NOT NULL,
    order_id       text COLLATE "C" NOT NULL,
    transaction_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (merchant_id, order_id, transaction_id)
);
CREATE INDEX transactions_transaction ON transactions (transaction_id);

-- Payments from before are put into it step by step, and those that an older program makes within an hour.
INSERT INTO meta (name, value)
SELECT 'index_transactions_until_ms', (extract(epoch FROM now()) * 1000)::bigint + 3600000
WHERE EXISTS (SELECT FROM payments);

-- Whoever removes a payment, an older program too. Last, since it holds up those that write payments.
CREATE FUNCTION payments_deleted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    DELETE FROM transactions USING removed
    WHERE transactions.merchant_id = removed.merchant_id AND transactions.order_id = removed.order_id;
    RETURN NULL;
END $$;
CREATE TRIGGER payments_deleted AFTER DELETE ON payments
    REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION payments_deleted();
