-- depends: db/0001
-- Live consoles of all processes, each with a lease, so that limits hold over processes; and the
-- token that a ticket was asked for with, so that its end is the console's end.
CREATE TABLE console_sessions (
    session_key text PRIMARY KEY,
    user_uuid uuid NOT NULL,
    server_id bigint NOT NULL,
    expires timestamptz NOT NULL
);
CREATE INDEX console_sessions_user ON console_sessions (user_uuid);
CREATE INDEX console_sessions_server ON console_sessions (server_id);
CREATE INDEX console_sessions_expires ON console_sessions (expires);
ALTER TABLE console_tickets ADD COLUMN token_id bigint NOT NULL DEFAULT 0;
