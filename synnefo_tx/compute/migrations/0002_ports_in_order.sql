-- depends: compute/0001
-- A server's ports are always read in order.
DROP INDEX ports_server;
CREATE INDEX ports_server ON ports (server, index);
