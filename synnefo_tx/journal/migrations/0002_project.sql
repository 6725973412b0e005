-- depends: journal/0001
-- What was done in a project, to things of any kind: rare projects among millions of rows.
CREATE INDEX journal_of_project ON journal (project, id) WHERE NOT is_end;
