-- What was asked for as files, and what became of it. The files lie apart, in a folder for each export.
create table exports (
    export_id text primary key,
    workspace_id text not null,
    subject text not null,
    format text not null,
    asked text not null,
    readable integer not null,
    status text not null,
    reason text not null,
    attempt bigint not null,
    rows_done bigint not null,
    rows_total bigint,
    manifest text not null,
    next_after text not null,
    actor text not null,
    created_at_ms bigint not null,
    started_at_ms bigint,
    finished_at_ms bigint,
    expires_at_ms bigint
);
create index exports_by_workspace on exports (workspace_id, export_id);
create index exports_by_status on exports (status, export_id);
