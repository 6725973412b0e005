-- The browser's session that a ticket was asked for with, so that its end is the console's end.
ALTER TABLE console_tickets ADD COLUMN session_id bigint NOT NULL DEFAULT 0;
