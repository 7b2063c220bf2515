-- Those who work in workspaces. A member signs in by an address and a password, nothing is ever sent there.
create table members (
    member_id text primary key,
    email text not null unique,
    name text not null,
    password_hash text not null,
    totp_sealed bytea,
    totp_step bigint not null,
    created_at_ms bigint not null
);

create table memberships (
    workspace_id text not null,
    member_id text not null,
    role text not null,
    created_at_ms bigint not null,
    primary key (workspace_id, member_id)
);
create index memberships_by_member on memberships (member_id, workspace_id);

-- Of a code, a pass and a session only a keyed digest is kept.
create table recovery_codes (
    member_id text not null,
    digest bytea not null,
    primary key (member_id, digest)
);

-- Addresses that work once: for the first owner, for somebody invited, for who has lost the password.
create table passes (
    pass_id text primary key,
    kind text not null,
    workspace_id text not null,
    role text not null,
    member_id text not null,
    note text not null,
    digest bytea not null unique,
    actor text not null,
    created_at_ms bigint not null,
    expires_at_ms bigint not null
);
create index passes_by_workspace on passes (workspace_id, pass_id);

create table sessions (
    session_id text primary key,
    member_id text not null,
    digest bytea not null unique,
    complete integer not null,
    agent text not null,
    created_at_ms bigint not null,
    used_at_ms bigint not null
);
create index sessions_by_member on sessions (member_id, session_id);

-- Who did what; workspace_id '' is what concerns a member alone. Names are looked up when it is read.
create table deeds (
    seq @sequence,
    workspace_id text not null,
    done_at_ms bigint not null,
    actor text not null,
    action text not null,
    subject text not null,
    facts text not null
);
create index deeds_by_workspace on deeds (workspace_id, seq);
@append_only deeds;

create index link_history_by_workspace on link_history (workspace_id, seq);
-- Both columns that a link's history is asked by, so that no engine takes the index above for it.
drop index link_history_by_link;
create index link_history_by_link on link_history (link_id, workspace_id, seq);
