-- A token may be for one project (Keystone v3's scope); without, the user's default project holds.
ALTER TABLE api_tokens ADD COLUMN project uuid REFERENCES projects (uuid);
