-- What makes the live ledger provable, and what tells of persons who were erased.

-- One link of a workspace's chain: the signed statement, and for each table of the ledger what it covers, as 8 bytes
-- of seq and 32 bytes of hash for each row.
create table seals (
    seq @sequence,
    workspace_id text not null,
    number bigint not null,
    statement text not null,
    signature bytea not null,
    outcomes bytea not null,
    verdicts bytea not null,
    settlements bytea not null,
    movements bytea not null,
    ties bytea not null,
    exclusions bytea not null
);
create unique index seals_by_number on seals (workspace_id, number);
@append_only seals (workspace_id, number);

-- What was said about the events that one secret signed in a period: the newest that covers an event stands.
create table exclusions (
    seq @sequence,
    exclusion_id text not null,
    workspace_id text not null,
    secret_id text not null,
    excludes integer not null,
    from_ms bigint not null,
    to_ms bigint not null,
    note text not null,
    actor text not null,
    decided_at_ms bigint not null
);
create unique index exclusions_by_id on exclusions (exclusion_id);
create index exclusions_by_workspace on exclusions (workspace_id, seq);
@append_only exclusions (exclusion_id);

-- A certificate, once erasing has come to its end; nothing in it says who it was.
create table erasures (
    erasure_id text primary key,
    workspace_id text not null,
    asked_at_ms bigint not null,
    counts text not null,
    finished_at_ms bigint,
    statement text not null,
    signature bytea not null
);
create index erasures_by_workspace on erasures (workspace_id, erasure_id);
create index erasures_unfinished on erasures (asked_at_ms) where finished_at_ms is null;

-- Random ids that lead nowhere any more, so that a restored backup can be made to forget them again.
create table erased_persons (
    person_id text primary key,
    workspace_id text not null,
    erasure_id text not null
);
