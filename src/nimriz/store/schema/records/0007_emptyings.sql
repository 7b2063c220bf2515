-- When a workspace emptied its test ledger, so that copies of it are made anew.
create table emptyings (
    seq @sequence,
    workspace_id text not null,
    emptied_at_ms bigint not null
);
@append_only emptyings;
