-- depends: db/0003
-- One row per thing that a transaction changed, written in it by triggers on the thing's table.
-- ``n`` is given after the commit, by one process: only what is committed has a place in the stream.
CREATE TABLE stream_changes (
    id bigint GENERATED ALWAYS AS IDENTITY,
    kind text NOT NULL,
    key text NOT NULL,
    -- Who is told that it is gone if they don't see it now: a user, or everyone.
    viewer uuid,
    everyone boolean NOT NULL DEFAULT false,
    -- Told at most twice a second: a build's progress.
    minor boolean NOT NULL DEFAULT false,
    written timestamptz NOT NULL DEFAULT synnefo_now(),
    n bigint,
    numbered timestamptz
);
-- A row that is being written is in the first one only.
CREATE INDEX stream_changes_pending ON stream_changes (id) WHERE n IS NULL;
CREATE UNIQUE INDEX stream_changes_n ON stream_changes (n) WHERE n IS NOT NULL;

-- The one row: the last number given, and the last of those that are not kept any more. The epoch
-- is another in another database, whose numbers mean other changes.
CREATE TABLE stream_sequence (
    epoch bigint NOT NULL,
    last bigint NOT NULL,
    swept bigint NOT NULL
);
INSERT INTO stream_sequence SELECT extract(epoch FROM synnefo_now())::bigint, 0, 0;
