-- Usage. A holding is there only where usage is not zero or a member's limit is their own.

CREATE TABLE holdings (
    project uuid NOT NULL REFERENCES projects (uuid),
    -- The nil uuid stands for the project as a whole.
    member uuid NOT NULL,
    resource text NOT NULL REFERENCES resources (name),
    own_limit bigint CHECK (own_limit >= 0),
    usage_min bigint NOT NULL DEFAULT 0,
    usage_max bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (project, member, resource),
    CHECK (usage_min <= usage_max),
    -- A project's own limits are in project_limits.
    CHECK (own_limit IS NULL OR member <> '00000000-0000-0000-0000-000000000000')
) WITH (fillfactor = 80);  -- room for updates that touch no index
CREATE INDEX holdings_member ON holdings (member);

-- The pieces of charges that are not settled; serial names the commission.
CREATE TABLE provisions (
    serial text NOT NULL,
    project uuid NOT NULL,
    member uuid NOT NULL,
    resource text NOT NULL,
    quantity bigint NOT NULL,
    issued timestamptz NOT NULL DEFAULT synnefo_now(),
    PRIMARY KEY (serial, project, member, resource)
);

-- The limit in force, or no row where nothing can be held: unknown project or resource, or
-- somebody who never was a member. A table function, because PostgreSQL inlines those.
CREATE FUNCTION quota_limit(of_project uuid, of_member uuid, of_resource text)
RETURNS TABLE (quota bigint) LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN p.state <> 'active' THEN 0
        WHEN of_member = '00000000-0000-0000-0000-000000000000' THEN
            coalesce(own.project_capacity, fallback.quota)
        WHEN m.state IN ('accepted', 'leave_requested') THEN
            coalesce(h.own_limit, own.member_capacity, fallback.quota)
        ELSE 0
    END
    FROM projects p
    JOIN resource_defaults d ON d.generation = p.quota_generation AND d.resource = of_resource
    CROSS JOIN LATERAL (
        SELECT CASE WHEN p.is_system THEN d.system_default ELSE d.project_default END AS quota
    ) fallback
    LEFT JOIN project_limits own ON own.project = of_project AND own.resource = of_resource
    LEFT JOIN project_members m ON m.project = of_project AND m.member = of_member
    LEFT JOIN holdings h
        ON h.project = of_project AND h.member = of_member AND h.resource = of_resource
    WHERE p.uuid = of_project
    AND (of_member = '00000000-0000-0000-0000-000000000000' OR m.initialized)
$$;
