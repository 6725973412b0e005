-- The only clock of the schema: the simulator replaces this one function.
CREATE FUNCTION synnefo_now() RETURNS timestamptz
    LANGUAGE sql STABLE
    AS $$ SELECT now() $$;
