-- depends: changes/0001
-- Tables that clients poll for changes: which transaction wrote a row last.
ALTER TABLE servers ADD COLUMN changed_xid xid8 NOT NULL DEFAULT pg_current_xact_id();
ALTER TABLE networks ADD COLUMN changed_xid xid8 NOT NULL DEFAULT pg_current_xact_id();
ALTER TABLE images ADD COLUMN changed_xid xid8 NOT NULL DEFAULT pg_current_xact_id();
ALTER TABLE ports ADD COLUMN changed_xid xid8 NOT NULL DEFAULT pg_current_xact_id();
ALTER TABLE volumes ADD COLUMN changed_xid xid8 NOT NULL DEFAULT pg_current_xact_id();

CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON servers
    FOR EACH ROW EXECUTE FUNCTION stamp_change();
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON networks
    FOR EACH ROW EXECUTE FUNCTION stamp_change();
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON images
    FOR EACH ROW EXECUTE FUNCTION stamp_change();
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON ports
    FOR EACH ROW EXECUTE FUNCTION stamp_change();
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON volumes
    FOR EACH ROW EXECUTE FUNCTION stamp_change();

-- Whatever writes one of these tables leaves a row in the outbox: who saw the thing before is told
-- if they don't see it any more.
CREATE FUNCTION note_server() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO stream_changes (kind, key, viewer, minor) VALUES (
        'server', coalesce(NEW.id, OLD.id), coalesce(OLD.userid, NEW.userid),
        coalesce(NEW.progress > OLD.progress AND NEW.operstate = OLD.operstate
            AND NEW.task = OLD.task AND NEW.job_status = OLD.job_status, false));
    RETURN NULL;
END $$;
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON servers
    FOR EACH ROW EXECUTE FUNCTION note_server();

CREATE FUNCTION note_network() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO stream_changes (kind, key, viewer, everyone) VALUES (
        'network', coalesce(NEW.id, OLD.id), coalesce(OLD.userid, NEW.userid),
        coalesce(OLD.public, NEW.public));
    RETURN NULL;
END $$;
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON networks
    FOR EACH ROW EXECUTE FUNCTION note_network();

CREATE FUNCTION note_port() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO stream_changes (kind, key, viewer) VALUES (
        'port', coalesce(NEW.id, OLD.id), coalesce(OLD.userid, NEW.userid));
    RETURN NULL;
END $$;
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON ports
    FOR EACH ROW EXECUTE FUNCTION note_port();

-- An image's owner may be the system, which follows no stream.
CREATE FUNCTION note_image() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO stream_changes (kind, key, viewer, everyone) VALUES (
        'image', coalesce(NEW.id, OLD.id),
        (SELECT uuid FROM users WHERE uuid::text = coalesce(OLD.owner, NEW.owner)),
        coalesce(OLD.public, NEW.public));
    RETURN NULL;
END $$;
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON images
    FOR EACH ROW EXECUTE FUNCTION note_image();
