-- The directory: who there is, what they may do, which links they have.

create table installation (
    name text primary key,
    value bytea not null
);

create table workspaces (
    workspace_id text primary key,
    name text not null,
    plan text not null,
    timezone text not null,
    conversion_window_days integer not null,
    created_at_ms bigint not null
);

create table rollout_flags (
    workspace_id text not null,
    surface text not null,
    enabled integer not null,
    changed_at_ms bigint not null,
    primary key (workspace_id, surface)
);

-- Sealed under the installation's master key; the secret itself is shown once.
create table signing_secrets (
    secret_id text primary key,
    workspace_id text not null,
    mode text not null,
    hint text not null,
    sealed bytea not null,
    created_at_ms bigint not null,
    last_used_at_ms bigint,
    revoked_at_ms bigint
);
create index signing_secrets_by_workspace on signing_secrets (workspace_id);

create table api_keys (
    key_id text primary key,
    workspace_id text not null,
    name text not null,
    hint text not null,
    digest bytea not null unique,
    scopes text not null,
    created_at_ms bigint not null,
    revoked_at_ms bigint
);
create index api_keys_by_workspace on api_keys (workspace_id);

-- workspace_id '' is the default domain, which all workspaces share.
create table domains (
    domain_id text primary key,
    workspace_id text not null,
    domain_name text not null unique,
    status text not null,
    root_url text not null,
    not_found_url text not null,
    expired_url text not null,
    created_at_ms bigint not null
);
create index domains_by_workspace on domains (workspace_id);

-- A deleted link stays as a row: its clicks' tokens still open and belong to its workspace.
create table links (
    link_id text primary key,
    workspace_id text not null,
    domain_id text not null,
    slug text not null,
    long_url text not null,
    title text not null,
    tags text not null,
    status text not null,
    expires_at_ms bigint,
    redirect_status_code integer not null,
    conversion_tracking integer not null,
    conversion_window_days integer,
    append_policy text not null,
    forward_query integer not null,
    created_at_ms bigint not null,
    updated_at_ms bigint not null,
    deleted_at_ms bigint
);
create unique index links_by_slug on links (domain_id, slug) where deleted_at_ms is null;
create index links_by_workspace on links (workspace_id, link_id);
create index links_deleted on links (domain_id, slug, deleted_at_ms) where deleted_at_ms is not null;

-- What changed, so that every process drops what it remembers of it within a second.
create table changes (
    seq @sequence,
    topic text not null,
    subject text not null,
    changed_at_ms bigint not null
);
create index changes_by_time on changes (changed_at_ms);
