-- depends: db/0001
-- Users, what they log in with, and the failures of those who tried.

CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uuid uuid NOT NULL UNIQUE,
    email text NOT NULL,
    username text NOT NULL UNIQUE CHECK (username = lower(email)),
    first_name text NOT NULL DEFAULT '',
    last_name text NOT NULL DEFAULT '',
    password_hash text,
    is_active boolean NOT NULL DEFAULT false,
    is_admin boolean NOT NULL DEFAULT false,
    groups text[] NOT NULL DEFAULT '{}',
    email_verified boolean NOT NULL DEFAULT false,
    moderated boolean NOT NULL DEFAULT false,
    is_rejected boolean NOT NULL DEFAULT false,
    rejected_reason text NOT NULL DEFAULT '',
    deactivated_reason text NOT NULL DEFAULT '',
    default_project uuid NOT NULL,
    date_joined timestamptz NOT NULL DEFAULT synnefo_now(),
    updated timestamptz NOT NULL DEFAULT synnefo_now(),
    last_login timestamptz,
    CHECK (NOT is_active OR (email_verified AND moderated AND NOT is_rejected))
);

CREATE TABLE api_tokens (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_uuid uuid NOT NULL REFERENCES users (uuid) ON DELETE CASCADE,
    name text NOT NULL,
    sha256 bytea NOT NULL UNIQUE CHECK (length(sha256) = 32),
    -- The token that this one was got with: it goes when that goes.
    parent bigint REFERENCES api_tokens (id) ON DELETE CASCADE,
    created timestamptz NOT NULL DEFAULT synnefo_now(),
    expires timestamptz NOT NULL
);
CREATE INDEX api_tokens_user ON api_tokens (user_uuid);
CREATE INDEX api_tokens_parent ON api_tokens (parent) WHERE parent IS NOT NULL;
CREATE INDEX api_tokens_expires ON api_tokens (expires);

-- One row per failed log-in; account is a digest, so that a typed password is never kept as one.
CREATE TABLE login_failures (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account bytea NOT NULL,
    address text NOT NULL,
    failed timestamptz NOT NULL DEFAULT synnefo_now()
);
CREATE INDEX login_failures_account ON login_failures (account, address, failed);
CREATE INDEX login_failures_address ON login_failures (address, failed);
CREATE INDEX login_failures_failed ON login_failures (failed);
