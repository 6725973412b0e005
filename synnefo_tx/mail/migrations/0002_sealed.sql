-- depends: mail/0001
-- What a mail says may hold a link that lets its reader in: it is sealed while it may be sent, and
-- forgotten when it was. What waits now cannot be sealed here: an operator sees that it was not sent.
ALTER TABLE mail_outbox ADD COLUMN sealed bytea;
UPDATE mail_outbox SET state = 'failed', ended = synnefo_now(), claimed_until = NULL,
    error = 'its text was dropped when texts began to be sealed' WHERE state = 'waiting';
ALTER TABLE mail_outbox DROP COLUMN body_text, DROP COLUMN body_html,
    ADD CHECK (state <> 'waiting' OR sealed IS NOT NULL);
