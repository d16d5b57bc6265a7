-- What version 0.1.0 left in a file, written by that version and dumped.
PRAGMA application_id = 1347317860;
PRAGMA user_version = 4;
BEGIN TRANSACTION;
CREATE TABLE meta (
        name  TEXT    PRIMARY KEY,
        value INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
CREATE TABLE outbox (
        id          INTEGER PRIMARY KEY AUTOINCREMENT,
        routing_key TEXT    NOT NULL,
        message_id  TEXT    NOT NULL,
        body        TEXT    NOT NULL,
        created_ms  INTEGER NOT NULL
    ) STRICT;
INSERT INTO "outbox" VALUES(1,'payment.conflict','payment.conflict:shop:conflict:1:failed_and_canceled','{"specversion":"1.0","id":"payment.conflict:shop:conflict:1:failed_and_canceled","source":"payment-notifier/node-1","type":"payment.conflict","time":"2026-01-31T08:30:07Z","datacontenttype":"application/json","data":{"merchant_id":"shop","order_id":"conflict","kinds":["failed_and_canceled"],"version":1,"status":"failed","event_id":"e2"}}',1795868883976);
INSERT INTO "outbox" VALUES(2,'payment.delivered','payment.delivered:shop:shown:1','{"specversion":"1.0","id":"payment.delivered:shop:shown:1","source":"payment-notifier/node-1","type":"payment.delivered","time":"2026-11-28T12:28:03.979Z","datacontenttype":"application/json","data":{"merchant_id":"shop","order_id":"shown","version":1,"status":"succeeded","transport":"websocket","ms_since_arrival":26020681979,"acknowledged_at":"2026-11-28T12:28:03.979Z"}}',1795868883979);
INSERT INTO "outbox" VALUES(3,'payment.inquiry','payment.inquiry:shop:waiting:0:2','{"specversion":"1.0","id":"payment.inquiry:shop:waiting:0:2","source":"payment-notifier/node-1","type":"payment.inquiry","time":"2026-11-28T12:28:04.003Z","datacontenttype":"application/json","data":{"merchant_id":"shop","order_id":"waiting","waited_s":31,"step":2,"status":"unknown","version":0}}',1795868884003);
INSERT INTO "outbox" VALUES(4,'payment.inquiry','payment.inquiry:shop:open:1:1','{"specversion":"1.0","id":"payment.inquiry:shop:open:1:1","source":"payment-notifier/node-1","type":"payment.inquiry","time":"2026-11-28T12:28:04.003Z","datacontenttype":"application/json","data":{"merchant_id":"shop","order_id":"open","waited_s":5,"step":1,"status":"pending","version":1}}',1795868884003);
CREATE TABLE payments (
        id            INTEGER PRIMARY KEY,
        merchant_id   TEXT    NOT NULL,
        order_id      TEXT    NOT NULL,
        version       INTEGER NOT NULL,
        status        TEXT    NOT NULL,
        final         INTEGER NOT NULL,
        acked_version INTEGER NOT NULL DEFAULT 0,
        created_ms    INTEGER NOT NULL,
        changed_ms    INTEGER NOT NULL,
        state         TEXT    NOT NULL, checksum INTEGER, final_version INTEGER, final_ms INTEGER, escalate_ms INTEGER, escalated INTEGER,
        UNIQUE (merchant_id, order_id)
    ) STRICT;
INSERT INTO "payments" VALUES(1,'shop','open',1,'pending',0,0,1795868883971,1795868883971,'{"version":1,"head":{"key":{"merchant_id":"shop","order_id":"open"},"event_id":"e1","status":"pending","occurred_at":"2026-01-31T08:30:01Z"},"evidence":{},"seen":[{"id":10042117733315542322,"content":2567295771}]}',641921766,NULL,NULL,NULL,NULL);
INSERT INTO "payments" VALUES(2,'shop','due',2,'succeeded',1,0,1795868883971,1795868883976,'{"version":2,"head":{"key":{"merchant_id":"shop","order_id":"due"},"event_id":"e2","status":"succeeded","occurred_at":"2026-01-31T08:30:03Z"},"evidence":{"succeeded_first":"2026-01-31T08:30:03Z"},"seen":[{"id":10042117733315542322,"content":2567295771},{"id":12398139023585926778,"content":17689856}]}',3841939196,2,1769848203000,1769848263000,0);
INSERT INTO "payments" VALUES(3,'shop','shown',1,'succeeded',1,1,1795868883971,1795868883971,'{"version":1,"head":{"key":{"merchant_id":"shop","order_id":"shown"},"event_id":"e1","status":"succeeded","occurred_at":"2026-01-31T08:30:02Z"},"evidence":{"succeeded_first":"2026-01-31T08:30:02Z"},"seen":[{"id":10042117733315542322,"content":17689856}]}',2268812941,1,1769848202000,NULL,0);
INSERT INTO "payments" VALUES(4,'shop','unseen',1,'succeeded',1,0,1795868883971,1795868883971,'{"version":1,"head":{"key":{"merchant_id":"shop","order_id":"unseen"},"event_id":"e1","status":"succeeded","occurred_at":"2026-01-31T08:30:02Z"},"evidence":{"succeeded_first":"2026-01-31T08:30:02Z"},"seen":[{"id":10042117733315542322,"content":17689856}]}',1581909836,1,1769848202000,NULL,0);
INSERT INTO "payments" VALUES(5,'shop','conflict',1,'failed',1,0,1795868883976,1795868883976,'{"version":1,"head":{"key":{"merchant_id":"shop","order_id":"conflict"},"event_id":"e1","status":"failed","occurred_at":"2026-01-31T08:30:05Z"},"evidence":{"failed_last":"2026-01-31T08:30:05Z","canceled_last":"2026-01-31T08:30:07Z"},"seen":[{"id":10042117733315542322,"content":4123730947},{"id":12398139023585926778,"content":3858004446}]}',1965551030,1,1769848205000,NULL,0);
CREATE TABLE revoked_orders (
        merchant_id TEXT    NOT NULL,
        order_id    TEXT    NOT NULL,
        until_s     INTEGER NOT NULL,
        PRIMARY KEY (merchant_id, order_id)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "revoked_orders" VALUES('shop','open',4000000000);
CREATE TABLE revoked_tickets (
        fingerprint BLOB    PRIMARY KEY,
        until_s     INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
INSERT INTO "revoked_tickets" VALUES(X'07070707070707070707070707070707',4000000001);
CREATE TABLE timeline (
        id       INTEGER PRIMARY KEY,
        order_id INTEGER NOT NULL,
        at_ms    INTEGER NOT NULL,
        node     TEXT    NOT NULL,
        entry    TEXT    NOT NULL
    ) STRICT;
INSERT INTO "timeline" VALUES(1,1,1769848201000,'node-1','{"type":"arrived","event_id":"e1","status":"pending","occurred_at":"2026-01-31T08:30:01Z","redelivered":false,"outcome":"applied","version":1}');
INSERT INTO "timeline" VALUES(2,2,1769848201000,'node-1','{"type":"arrived","event_id":"e1","status":"pending","occurred_at":"2026-01-31T08:30:01Z","redelivered":false,"outcome":"applied","version":1}');
INSERT INTO "timeline" VALUES(3,3,1769848202000,'node-1','{"type":"arrived","event_id":"e1","status":"succeeded","occurred_at":"2026-01-31T08:30:02Z","redelivered":false,"outcome":"applied","version":1}');
INSERT INTO "timeline" VALUES(4,4,1769848202000,'node-1','{"type":"arrived","event_id":"e1","status":"succeeded","occurred_at":"2026-01-31T08:30:02Z","redelivered":false,"outcome":"applied","version":1}');
INSERT INTO "timeline" VALUES(5,2,1769848203000,'node-1','{"type":"arrived","event_id":"e2","status":"succeeded","occurred_at":"2026-01-31T08:30:03Z","redelivered":false,"outcome":"applied","version":2}');
INSERT INTO "timeline" VALUES(6,5,1769848205000,'node-1','{"type":"arrived","event_id":"e1","status":"failed","occurred_at":"2026-01-31T08:30:05Z","redelivered":false,"outcome":"applied","version":1}');
INSERT INTO "timeline" VALUES(7,5,1769848207000,'node-1','{"type":"arrived","event_id":"e2","status":"canceled","occurred_at":"2026-01-31T08:30:07Z","redelivered":false,"outcome":"stale","version":1}');
INSERT INTO "timeline" VALUES(8,5,1769848207000,'node-1','{"type":"conflict","kinds":["failed_and_canceled"],"event_id":"e2"}');
INSERT INTO "timeline" VALUES(9,3,1795868883979,'node-1','{"type":"acknowledged","transport":"websocket","connection":3,"version":1,"ms_since_arrival":26020681979}');
INSERT INTO "timeline" VALUES(10,3,1769848202100,'node-1','{"type":"pushed","transport":"websocket","connection":3,"version":1,"ms":12}');
INSERT INTO "timeline" VALUES(11,-3,1769848204000,'node-1','{"type":"dead_lettered","event_id":"e9","reason":"unknown_status"}');
INSERT INTO "timeline" VALUES(12,-4,1795868884003,'node-1','{"type":"inquired","step":2,"waited_s":31}');
INSERT INTO "timeline" VALUES(13,1,1795868884003,'node-1','{"type":"inquired","step":1,"waited_s":5}');
CREATE TABLE watches (
        id            INTEGER PRIMARY KEY,
        merchant_id   TEXT    NOT NULL,
        order_id      TEXT    NOT NULL,
        made_ms       INTEGER NOT NULL,
        first_ms      INTEGER NOT NULL,
        last_ms       INTEGER NOT NULL,
        pages         INTEGER NOT NULL DEFAULT 0,
        transport     TEXT    NOT NULL DEFAULT '',
        connection    INTEGER NOT NULL DEFAULT 0,
        node          TEXT    NOT NULL DEFAULT '',
        inquired_step INTEGER NOT NULL DEFAULT 0,
        UNIQUE (merchant_id, order_id)
    ) STRICT;
INSERT INTO "watches" VALUES(1,'shop','due',1769848200000,1769848200000,1769848200500,2,'websocket',1,'node-1',0);
INSERT INTO "watches" VALUES(2,'shop','shown',1769848200000,1769848200000,1769848200000,1,'websocket',3,'node-1',0);
INSERT INTO "watches" VALUES(3,'shop','dead',1769848204000,1769848204000,1769848204000,0,'',0,'',0);
INSERT INTO "watches" VALUES(4,'shop','waiting',1795868884003,1795868884003,1795868884003,0,'',0,'',2);
INSERT INTO "watches" VALUES(5,'shop','open',1795868884003,1795868884003,1795868884003,0,'',0,'',1);
CREATE INDEX payments_escalate_ms ON payments (escalate_ms) WHERE escalate_ms IS NOT NULL;
CREATE INDEX timeline_order_id ON timeline (order_id);
CREATE TRIGGER payments_deleted AFTER DELETE ON payments BEGIN
        DELETE FROM timeline WHERE order_id = old.id;
    END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('outbox',4);
COMMIT;
