-- depends: identity/0004
-- Every process hears at once that a token, a user or a membership is another now, whoever changed
-- it: the payload is the user's uuid, or empty for any user.
CREATE FUNCTION tell_access_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('access_changed', coalesce(to_jsonb(OLD) ->> TG_ARGV[0], ''));
    RETURN NULL;
END $$;

CREATE TRIGGER access_changed AFTER UPDATE OR DELETE ON users
    FOR EACH ROW EXECUTE FUNCTION tell_access_changed('uuid');
CREATE TRIGGER access_changed AFTER UPDATE OR DELETE ON api_tokens
    FOR EACH ROW EXECUTE FUNCTION tell_access_changed('user_uuid');
CREATE TRIGGER access_changed AFTER UPDATE OR DELETE ON project_members
    FOR EACH ROW EXECUTE FUNCTION tell_access_changed('member');
-- A new member sees at once what is shared with them.
CREATE FUNCTION tell_access_given() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('access_changed', NEW.member::text);
    RETURN NULL;
END $$;
CREATE TRIGGER access_given AFTER INSERT ON project_members
    FOR EACH ROW EXECUTE FUNCTION tell_access_given();
CREATE TRIGGER access_changed AFTER UPDATE OF state, realname OR DELETE ON projects
    FOR EACH ROW EXECUTE FUNCTION tell_access_changed('');
