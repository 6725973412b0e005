-- depends: db/0001
-- Mails to be sent. A row is written in the transaction that has a reason for it; who sends claims
-- it, and ``attempts`` tells claims apart.
CREATE TABLE mail_outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created timestamptz NOT NULL,
    template text NOT NULL,
    recipient text NOT NULL,
    recipient_name text NOT NULL,
    subject text NOT NULL,
    body_text text NOT NULL,
    body_html text NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    next_attempt timestamptz NOT NULL,
    claimed_until timestamptz,
    error text NOT NULL DEFAULT '',
    ended timestamptz,
    CHECK ((state = 'waiting') = (ended IS NULL))
);
CREATE INDEX mail_outbox_waiting ON mail_outbox (next_attempt, id) WHERE state = 'waiting';
CREATE INDEX mail_outbox_ended ON mail_outbox (ended) WHERE ended IS NOT NULL;
