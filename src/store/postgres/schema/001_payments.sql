CREATE TABLE schema_steps (
    step            integer     PRIMARY KEY,
    -- The number of steps that a program must know to work on the tables as they are after this one.
    compatible_from integer     NOT NULL,
    done_at         timestamptz NOT NULL DEFAULT now()
);

-- No index but on what hardly ever changes, and room in each page: a change of a row then touches no index.
CREATE TABLE payments (
    merchant_id   text    COLLATE "C" NOT NULL,
    order_id      text    COLLATE "C" NOT NULL,
    version       bigint  NOT NULL,
    status        text    NOT NULL,
    final         boolean NOT NULL,
    acked_version bigint  NOT NULL DEFAULT 0,
    created_ms    bigint  NOT NULL,
    changed_ms    bigint  NOT NULL,
    -- Of the final result: the version that brought it, when it came, when it counts as undelivered, and that it did.
    settled_version bigint NOT NULL DEFAULT 0,
    settled_ms    bigint  NOT NULL DEFAULT 0,
    escalate_ms   bigint,
    escalated     boolean NOT NULL DEFAULT false,
    -- JSON, byte for byte as it was written.
    state         text    NOT NULL,
    PRIMARY KEY (merchant_id, order_id)
) WITH (fillfactor = 75);
CREATE INDEX payments_created ON payments (created_ms);
CREATE INDEX payments_escalate ON payments (escalate_ms) WHERE escalate_ms IS NOT NULL;

-- What happened to each order.
CREATE TABLE entries (
    id          bigint GENERATED ALWAYS AS IDENTITY,
    merchant_id text   COLLATE "C" NOT NULL,
    order_id    text   COLLATE "C" NOT NULL,
    at_ms       bigint NOT NULL,
    node        text   NOT NULL,
    -- JSON.
    what        text   NOT NULL
);
CREATE INDEX entries_order ON entries (merchant_id, order_id);
CREATE INDEX entries_at ON entries (at_ms);

-- Orders for which a page has waited, known or not.
CREATE TABLE watched (
    merchant_id text   COLLATE "C" NOT NULL,
    order_id    text   COLLATE "C" NOT NULL,
    node        text   NOT NULL,
    transport   text   NOT NULL,
    connection  bigint NOT NULL,
    pages       bigint NOT NULL,
    first_ms    bigint NOT NULL,
    last_ms     bigint NOT NULL,
    PRIMARY KEY (merchant_id, order_id)
) WITH (fillfactor = 75);
CREATE INDEX watched_first ON watched (first_ms);

-- Inquiries that were published.
CREATE TABLE inquired (
    merchant_id text    COLLATE "C" NOT NULL,
    order_id    text    COLLATE "C" NOT NULL,
    step        integer NOT NULL,
    at_ms       bigint  NOT NULL,
    PRIMARY KEY (merchant_id, order_id, step)
);
CREATE INDEX inquired_at ON inquired (at_ms);

-- Messages that wait to be published. Small, and all of it is soon dead: cleaned often.
CREATE TABLE outbox (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    routing_key  text        NOT NULL,
    message_id   text        NOT NULL,
    body         text        NOT NULL,
    leased_until timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 75, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

CREATE TABLE meta (
    name  text   PRIMARY KEY,
    value bigint NOT NULL
);

CREATE TABLE revoked_tickets (
    fingerprint bytea  PRIMARY KEY,
    until_s     bigint NOT NULL
);
CREATE TABLE revoked_orders (
    merchant_id text   COLLATE "C" NOT NULL,
    order_id    text   COLLATE "C" NOT NULL,
    until_s     bigint NOT NULL,
    PRIMARY KEY (merchant_id, order_id)
);
