-- depends: compute/0002
-- Who had which public address when: one row per address given or given back, never changed.
CREATE TABLE address_history (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    address inet NOT NULL,
    userid uuid NOT NULL,
    server bigint NOT NULL,
    network bigint NOT NULL,
    action text NOT NULL CHECK (action IN ('associate', 'disassociate')),
    date timestamptz NOT NULL DEFAULT synnefo_now(),
    reason text NOT NULL DEFAULT ''
);
CREATE INDEX address_history_address ON address_history (address, id);
CREATE INDEX address_history_server ON address_history (server, id);
CREATE INDEX address_history_user ON address_history (userid, id);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is only ever added to', TG_TABLE_NAME;
END $$;
CREATE TRIGGER only_added_to BEFORE UPDATE OR DELETE ON address_history
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

INSERT INTO address_history (address, userid, server, network, action, date, reason)
SELECT p.address, p.userid, p.server, p.network, 'associate', p.created, 'server created'
FROM ports p JOIN networks n ON n.id = p.network
WHERE n.public AND p.address IS NOT NULL ORDER BY p.id;

-- A deleted server outlives its cluster.
ALTER TABLE servers ALTER COLUMN backend DROP NOT NULL;
ALTER TABLE servers ADD CHECK (deleted OR backend IS NOT NULL);
