-- Links in depth, domains of workspaces, block lists, and who changed what.

alter table workspaces add column privacy text not null default 'standard';

-- A claim proves nothing, so any workspace may make one; the name belongs to who has proved it.
create table claimed_domains (
    domain_id text primary key,
    workspace_id text not null,
    domain_name text not null,
    status text not null,
    root_url text not null,
    not_found_url text not null,
    expired_url text not null,
    created_at_ms bigint not null,
    challenge text not null,
    finding text not null,
    checked_at_ms bigint,
    proved_at_ms bigint
);
insert into claimed_domains (domain_id, workspace_id, domain_name, status, root_url, not_found_url, expired_url,
    created_at_ms, challenge, finding)
select domain_id, workspace_id, domain_name, status, root_url, not_found_url, expired_url, created_at_ms, '', ''
from domains;
drop table domains;
alter table claimed_domains rename to domains;
create unique index domains_by_workspace on domains (workspace_id, domain_name);
create unique index domains_proved on domains (domain_name) where status not in ('pending', 'removed');
create index domains_by_name on domains (domain_name);

alter table links add column canonical_url text not null default '';
alter table links add column utm text not null default '{}';
alter table links add column password_hash text not null default '';
alter table links add column notes text not null default '';
alter table links add column archived integer not null default 0;
alter table links add column takedown text not null default '';
alter table links add column clicks_max bigint;
alter table links add column clicks_used bigint not null default 0;
-- Lists read these backwards. What is archived is passed over without a look at its row.
drop index links_by_workspace;
create index links_by_workspace on links (workspace_id, link_id, archived) where deleted_at_ms is null;
create index links_by_domain on links (workspace_id, domain_id, link_id, archived) where deleted_at_ms is null;

-- A slug that a link gave up rests. The link that gave it up may take it back.
create table tombstones (
    domain_id text not null,
    slug text not null,
    link_id text not null,
    retired_at_ms bigint not null,
    primary key (domain_id, slug)
);
insert into tombstones (domain_id, slug, link_id, retired_at_ms)
select domain_id, slug, max(link_id), max(deleted_at_ms) from links where deleted_at_ms is not null
group by domain_id, slug;
drop index links_deleted;

-- What search looks at, narrow and in the order of the answer. A deleted link has no row.
create table link_texts (
    workspace_id text not null,
    link_id text not null,
    content text not null,
    primary key (workspace_id, link_id)
) @clustered;
insert into link_texts (workspace_id, link_id, content)
select workspace_id, link_id, lower(slug || ' ' || title || ' ' || long_url || ' ' || tags) from links
where deleted_at_ms is null;

create table link_tags (
    workspace_id text not null,
    tag text not null,
    link_id text not null,
    primary key (workspace_id, tag, link_id)
) @clustered;
create index link_tags_by_link on link_tags (link_id);
insert into link_tags (workspace_id, tag, link_id)
select distinct links.workspace_id, tag.value, links.link_id from links, json_each(links.tags) as tag
where links.deleted_at_ms is null;

-- Who changed what: only the members that differ, never a secret.
create table link_history (
    seq @sequence,
    workspace_id text not null,
    link_id text not null,
    changed_at_ms bigint not null,
    actor text not null,
    action text not null,
    before text not null,
    after text not null
);
create index link_history_by_link on link_history (link_id, seq);
@append_only link_history;

-- workspace_id '' is the installation's own list.
create table blocked_hosts (
    workspace_id text not null,
    host text not null,
    reason text not null,
    created_at_ms bigint not null,
    primary key (workspace_id, host)
);

-- Which link a row of a bulk request made, so that sending the row again makes no other.
create table creation_keys (
    workspace_id text not null,
    idempotency_key text not null,
    digest bytea not null,
    link_id text not null,
    created_at_ms bigint not null,
    primary key (workspace_id, idempotency_key)
);
create index creation_keys_by_time on creation_keys (created_at_ms);
