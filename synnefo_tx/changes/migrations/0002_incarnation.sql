-- depends: changes/0001
-- The table and the server's start that the epoch's numbers belong to. A database that was restored
-- or failed over to may have lost changes that clients were told of, under numbers that will be given
-- again: it is another table, or was started anew, and then the epoch must be another.
ALTER TABLE stream_sequence ADD COLUMN incarnation text;
UPDATE stream_sequence SET incarnation =
    concat('stream_sequence'::regclass::oid, ' ', extract(epoch FROM pg_postmaster_start_time()));
