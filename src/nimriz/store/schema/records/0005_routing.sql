-- Where some visitors of a link are sent instead of its own destination.

-- One ordered list for each link, as JSON. The version grows with every change, also of an experiment in it.
create table rule_lists (
    link_id text primary key,
    workspace_id text not null,
    version bigint not null,
    rules text not null,
    updated_at_ms bigint not null
);

-- An experiment stays when it is no longer in its link's list. `conditions` and `variants` are JSON; `buckets` has, for
-- each variant, which of 100 equal parts of the visitors it gets.
create table experiments (
    experiment_id text primary key,
    workspace_id text not null,
    link_id text not null,
    name text not null,
    state text not null,
    conditions text not null,
    salt bytea not null,
    variants text not null,
    buckets text not null,
    promoted text not null,
    created_at_ms bigint not null,
    started_at_ms bigint,
    stopped_at_ms bigint
);
create index experiments_by_link on experiments (link_id, experiment_id);

-- From when on an experiment was in which state, with which weights (JSON, percent by variant key).
create table experiment_phases (
    seq @sequence,
    workspace_id text not null,
    link_id text not null,
    experiment_id text not null,
    began_at_ms bigint not null,
    state text not null,
    weights text not null
);
create index experiment_phases_by_experiment on experiment_phases (experiment_id, seq);
@append_only experiment_phases;

-- What the decision numbers of clicks and tokens mean. A number is given once for each link and never again, so that
-- a conversion keeps its variant when the experiment is gone. `variant` is '' for a route.
create table decisions (
    workspace_id text not null,
    link_id text not null,
    decision integer not null,
    kind text not null,
    rule_id text not null,
    variant text not null,
    created_at_ms bigint not null,
    primary key (link_id, decision)
) @clustered;
create unique index decisions_by_rule on decisions (link_id, rule_id, variant);
create unique index decisions_by_variant on decisions (link_id, variant) where variant <> '';
@no_change decisions;

-- Whether a cookie may hold which variant a visitor was shown.
alter table workspaces add column sticky_cookie integer not null default 0;
-- The apps that open links of a domain (JSON lists).
alter table domains add column ios_apps text not null default '[]';
alter table domains add column android_apps text not null default '[]';
