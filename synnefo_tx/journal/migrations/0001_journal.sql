-- depends: db/0001
-- Who did what. A row is written in the transaction that acts and never changes. One without a
-- result began an operation that goes on; its end is a row of its own, with the same operation.
CREATE SEQUENCE journal_id;
CREATE TABLE journal (
    id bigint NOT NULL DEFAULT nextval('journal_id'),
    at timestamptz NOT NULL,
    is_end boolean NOT NULL DEFAULT false,
    actor text NOT NULL,
    remote text NOT NULL DEFAULT '',
    request text NOT NULL DEFAULT '',
    action text NOT NULL,
    kind text NOT NULL,
    object text NOT NULL,
    owner text NOT NULL DEFAULT '',
    project text NOT NULL DEFAULT '',
    details text NOT NULL DEFAULT '',
    operation text NOT NULL DEFAULT '',
    result text NOT NULL DEFAULT '',
    PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);
CREATE INDEX journal_object ON journal (kind, object, id) WHERE NOT is_end;
CREATE INDEX journal_owner ON journal (owner, id) WHERE NOT is_end;
CREATE INDEX journal_project ON journal (project, id) WHERE NOT is_end AND kind = 'project';
CREATE INDEX journal_end ON journal (operation) WHERE is_end;

CREATE FUNCTION journal_refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'rows of the journal never change'; END $$;
CREATE TRIGGER journal_append_only BEFORE UPDATE OR DELETE ON journal
    FOR EACH ROW EXECUTE FUNCTION journal_refuse_change();
CREATE TRIGGER journal_not_emptied BEFORE TRUNCATE ON journal
    FOR EACH STATEMENT EXECUTE FUNCTION journal_refuse_change();

-- What is written while a month has no partition; the timer moves it to partitions.
CREATE TABLE journal_rest PARTITION OF journal DEFAULT;
CREATE TRIGGER journal_not_emptied BEFORE TRUNCATE ON journal_rest
    FOR EACH STATEMENT EXECUTE FUNCTION journal_refuse_change();
