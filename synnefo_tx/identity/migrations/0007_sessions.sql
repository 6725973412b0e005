-- depends: identity/0005
-- Sign-ins of browsers. Only the SHA-256 of the cookie's value is kept.
CREATE TABLE sessions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_uuid uuid NOT NULL REFERENCES users (uuid) ON DELETE CASCADE,
    sha256 bytea NOT NULL UNIQUE CHECK (length(sha256) = 32),
    created timestamptz NOT NULL DEFAULT synnefo_now(),
    last_used timestamptz NOT NULL DEFAULT synnefo_now(),
    address text NOT NULL,
    browser text NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_uuid);
-- Being used changes nobody's access: only the end is told.
CREATE TRIGGER access_changed AFTER DELETE ON sessions
    FOR EACH ROW EXECUTE FUNCTION tell_access_changed('user_uuid');
