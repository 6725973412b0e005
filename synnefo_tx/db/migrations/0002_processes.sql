-- Who leads what: pollers, timers. The advisory lock decides; the epoch tells leaders apart, and
-- every write of a leader shares a lock on its row, so none outlives its leader's epoch.
CREATE TABLE elections (
    name text PRIMARY KEY,
    epoch bigint NOT NULL CHECK (epoch > 0),
    holder text NOT NULL,
    since timestamptz NOT NULL,
    told timestamptz,
    report jsonb NOT NULL DEFAULT '{}'
);
-- What an address asked for in vain, counted for all processes together.
CREATE TABLE request_misses (
    address text PRIMARY KEY,
    began timestamptz NOT NULL,
    misses integer NOT NULL CHECK (misses > 0)
);
CREATE INDEX request_misses_began ON request_misses (began);
