-- depends: changes/0001
-- What a member sees of quota changes with the holdings and limits of the project, with the project
-- itself, and with the membership. Many rows are charged at once, so once per statement.
CREATE FUNCTION note_quota() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO stream_changes (kind, key) SELECT DISTINCT 'quota', project::text FROM touched;
    RETURN NULL;
END $$;
CREATE TRIGGER note_insert AFTER INSERT ON holdings REFERENCING NEW TABLE AS touched
    FOR EACH STATEMENT EXECUTE FUNCTION note_quota();
CREATE TRIGGER note_update AFTER UPDATE ON holdings REFERENCING NEW TABLE AS touched
    FOR EACH STATEMENT EXECUTE FUNCTION note_quota();
CREATE TRIGGER note_delete AFTER DELETE ON holdings REFERENCING OLD TABLE AS touched
    FOR EACH STATEMENT EXECUTE FUNCTION note_quota();
CREATE TRIGGER note_insert AFTER INSERT ON project_limits REFERENCING NEW TABLE AS touched
    FOR EACH STATEMENT EXECUTE FUNCTION note_quota();
CREATE TRIGGER note_update AFTER UPDATE ON project_limits REFERENCING NEW TABLE AS touched
    FOR EACH STATEMENT EXECUTE FUNCTION note_quota();

CREATE FUNCTION note_member_quota() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO stream_changes (kind, key, viewer)
    VALUES ('quota', coalesce(OLD.project, NEW.project), coalesce(OLD.member, NEW.member));
    RETURN NULL;
END $$;
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON project_members
    FOR EACH ROW EXECUTE FUNCTION note_member_quota();

CREATE FUNCTION note_project_quota() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO stream_changes (kind, key, viewer)
    SELECT 'quota', project, member FROM project_members WHERE project = NEW.uuid;
    RETURN NULL;
END $$;
CREATE TRIGGER note AFTER UPDATE OF state, quota_generation ON projects
    FOR EACH ROW EXECUTE FUNCTION note_project_quota();
