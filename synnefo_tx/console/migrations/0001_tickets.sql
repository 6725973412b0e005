-- depends: db/0001
-- One-time console tickets: what was issued, never the ticket itself.
CREATE TABLE console_tickets (
    ticket_hash bytea PRIMARY KEY CHECK (octet_length(ticket_hash) = 32),
    user_uuid uuid NOT NULL,
    server_id bigint NOT NULL,
    instance text NOT NULL,
    password_sealed bytea NOT NULL,
    expires timestamptz NOT NULL,
    used timestamptz
);
CREATE INDEX console_tickets_unused ON console_tickets (user_uuid, expires) WHERE used IS NULL;
CREATE INDEX console_tickets_expires ON console_tickets (expires);
