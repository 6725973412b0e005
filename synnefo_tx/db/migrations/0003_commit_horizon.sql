-- What a poller of changes must know of transactions that are not committed yet; docs/changes.md.

-- The time as it passes within a transaction, where synnefo_now() stands. The simulator replaces it.
CREATE FUNCTION synnefo_clock() RETURNS timestamptz
    LANGUAGE sql VOLATILE
    AS $$ SELECT clock_timestamp() $$;

-- Trigger of every table that is polled: ``updated`` is never older than the number of the
-- transaction that wrote it. An update that leaves ``updated`` alone changes nothing that is shown.
CREATE FUNCTION stamp_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed_xid := pg_current_xact_id();
    IF TG_OP = 'INSERT' THEN
        NEW.updated := synnefo_clock();
    ELSIF NEW.updated <> OLD.updated THEN
        NEW.updated := synnefo_clock();
    END IF;
    RETURN NEW;
END $$;

-- Nothing that is being written is older than the oldest transaction that writes; five seconds are
-- for one that ends just now.
CREATE FUNCTION horizon_of_writers() RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT least(synnefo_now() - interval '5 seconds', min(xact_start))
    FROM pg_stat_activity WHERE backend_xid IS NOT NULL
$$;

-- A moment such that every stamped row which this statement cannot see yet, and which is committed
-- at any time, has an ``updated`` that is not before it. To be called in a statement of its own
-- transaction: within a longer one the number of the next transaction would be an old one.
-- Nothing is being written when every number below the next one is of a transaction that ended.
-- In a form that PostgreSQL inlines, because every poll calls it.
CREATE FUNCTION commit_horizon() RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN pg_snapshot_xmin(pg_current_snapshot()) = pg_snapshot_xmax(pg_current_snapshot())
            AND age(pg_snapshot_xmax(pg_current_snapshot())::xid) = 0
        THEN synnefo_now()
        ELSE horizon_of_writers()
    END
$$;
