-- What became of recent deliveries, in a database of its own: a flood of refused ones never stands before the ledger.
-- Nothing here is part of any figure, and all of it may be deleted. Support references sort by time.

create table deliveries (
    workspace_id text not null,
    kind text not null,
    support_reference text not null,
    received_at_ms bigint not null,
    took_us bigint not null,
    http_status integer not null,
    code text not null,
    mode text not null,
    secret_id text not null,
    is_batch integer not null,
    is_rehearsal integer not null,
    body_bytes bigint,
    event_id text not null,
    details text not null,
    primary key (workspace_id, kind, support_reference)
) @clustered;

-- How many of an hour are kept, and how many were left out because there were too many.
create table delivery_hours (
    workspace_id text not null,
    kind text not null,
    hour_ms bigint not null,
    kept_count bigint not null,
    left_out_count bigint not null,
    primary key (workspace_id, kind, hour_ms)
) @clustered;
