-- Projects, their members, and the resources that are counted.

CREATE TABLE resources (
    id bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    name text PRIMARY KEY,
    unit text,
    description text NOT NULL,
    service_type text NOT NULL,
    service text NOT NULL,
    ui_visible boolean NOT NULL,
    api_visible boolean NOT NULL,
    CHECK (api_visible OR NOT ui_visible)
);

-- A generation holds the defaults of every resource; a project keeps the one it began under.
CREATE TABLE resource_defaults (
    generation integer NOT NULL CHECK (generation > 0),
    resource text NOT NULL REFERENCES resources (name),
    system_default bigint NOT NULL CHECK (system_default >= 0),
    project_default bigint NOT NULL CHECK (project_default >= 0),
    PRIMARY KEY (generation, resource)
);

CREATE TABLE projects (
    uuid uuid PRIMARY KEY,
    id bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    owner uuid REFERENCES users (uuid),
    -- The name while the project holds it; realname is what it is called.
    name text UNIQUE,
    realname text NOT NULL,
    homepage text NOT NULL DEFAULT '',
    description text NOT NULL DEFAULT '',
    is_system boolean NOT NULL DEFAULT false,
    private boolean NOT NULL DEFAULT false,
    state text NOT NULL
        CHECK (state IN ('uninitialized', 'active', 'suspended', 'terminated', 'deleted')),
    join_policy text NOT NULL DEFAULT 'moderated'
        CHECK (join_policy IN ('auto', 'moderated', 'closed')),
    leave_policy text NOT NULL DEFAULT 'auto'
        CHECK (leave_policy IN ('auto', 'moderated', 'closed')),
    max_members bigint NOT NULL DEFAULT 9223372036854775807 CHECK (max_members >= 0),
    quota_generation integer NOT NULL,
    created timestamptz NOT NULL DEFAULT synnefo_now(),
    end_date timestamptz NOT NULL,
    CHECK (is_system = (owner IS NULL))
);
CREATE INDEX projects_owner ON projects (owner) WHERE owner IS NOT NULL;

CREATE TABLE project_members (
    project uuid NOT NULL REFERENCES projects (uuid) ON DELETE CASCADE,
    member uuid NOT NULL REFERENCES users (uuid) ON DELETE CASCADE,
    id bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    state text NOT NULL CHECK (state IN ('requested', 'accepted', 'leave_requested', 'suspended',
        'rejected', 'cancelled', 'removed')),
    -- Whether the person was ever accepted: only then may they hold anything.
    initialized boolean NOT NULL DEFAULT false,
    PRIMARY KEY (project, member),
    CHECK (initialized OR state IN ('requested', 'rejected', 'cancelled'))
);
CREATE INDEX project_members_member ON project_members (member);

-- Limits of a project's own, where they differ from the defaults of its generation.
CREATE TABLE project_limits (
    project uuid NOT NULL REFERENCES projects (uuid) ON DELETE CASCADE,
    resource text NOT NULL REFERENCES resources (name),
    project_capacity bigint CHECK (project_capacity >= 0),
    member_capacity bigint CHECK (member_capacity >= 0),
    PRIMARY KEY (project, resource)
);

INSERT INTO resources
    (name, unit, description, service_type, service, ui_visible, api_visible)
VALUES
    ('astakos.pending_app', NULL, 'Number of pending project applications',
        'account', 'astakos_account', false, false),
    ('cyclades.vm', NULL, 'Number of virtual machines',
        'compute', 'cyclades_compute', true, true),
    ('cyclades.cpu', NULL, 'Number of virtual machine processors of running servers',
        'compute', 'cyclades_compute', true, true),
    ('cyclades.total_cpu', NULL, 'Number of virtual machine processors',
        'compute', 'cyclades_compute', false, false),
    ('cyclades.ram', 'bytes', 'Virtual machine memory of running servers',
        'compute', 'cyclades_compute', true, true),
    ('cyclades.total_ram', 'bytes', 'Virtual machine memory',
        'compute', 'cyclades_compute', false, false),
    ('cyclades.disk', 'bytes', 'Virtual machine disk size',
        'compute', 'cyclades_compute', true, true),
    ('cyclades.network.private', NULL, 'Number of private networks',
        'network', 'cyclades_network', true, true),
    ('cyclades.floating_ip', NULL, 'Number of floating IP addresses',
        'network', 'cyclades_network', true, true),
    ('pithos.diskspace', 'bytes', 'Storage space of objects',
        'object-store', 'pithos_object-store', true, true);

INSERT INTO resource_defaults (generation, resource, system_default, project_default) VALUES
    (1, 'astakos.pending_app', 2, 0),
    (1, 'cyclades.vm', 4, 0),
    (1, 'cyclades.cpu', 16, 0),
    (1, 'cyclades.total_cpu', 32, 9223372036854775807),
    (1, 'cyclades.ram', 8589934592, 0),
    (1, 'cyclades.total_ram', 17179869184, 9223372036854775807),
    (1, 'cyclades.disk', 42949672960, 0),
    (1, 'cyclades.network.private', 4, 0),
    (1, 'cyclades.floating_ip', 4, 0),
    (1, 'pithos.diskspace', 42949672960, 0);
