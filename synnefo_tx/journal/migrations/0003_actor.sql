-- depends: journal/0002
-- What somebody did, to things of whomever: one operator among all that users do.
CREATE INDEX journal_actor ON journal (actor, id) WHERE NOT is_end;
