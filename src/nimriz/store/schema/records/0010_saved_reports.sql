-- Reports that were kept by name, and the links by which somebody without a key may read one.
create table saved_reports (
    report_id text primary key,
    workspace_id text not null,
    name text not null,
    report text not null,
    question text not null,
    actor text not null,
    created_at_ms bigint not null
);
create index saved_reports_by_workspace on saved_reports (workspace_id, report_id);

-- Of the token in the link only a digest is kept, of the password an argon2 hash.
create table report_shares (
    share_id text primary key,
    report_id text not null,
    workspace_id text not null,
    digest bytea not null unique,
    password_hash text not null,
    created_at_ms bigint not null,
    expires_at_ms bigint
);
create index report_shares_by_report on report_shares (report_id, share_id);
