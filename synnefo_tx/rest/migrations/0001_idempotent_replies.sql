-- depends: db/0001
-- Replies to requests with an Idempotency-Key, written with their effect. They are sealed: one may
-- hold a password. A row without a reply is seen by nobody but the transaction that writes it.
CREATE TABLE idempotent_replies (
    userid text NOT NULL,
    path text NOT NULL,
    request_key text NOT NULL,
    body_sha256 bytea NOT NULL,
    status smallint,
    sealed bytea,
    created timestamptz NOT NULL,
    PRIMARY KEY (userid, path, request_key)
);
CREATE INDEX idempotent_replies_created ON idempotent_replies (created);
