-- Most of what a click tells it has in common with others: that is kept once, and a click only names it.
create table click_contexts (
    context_id integer primary key,
    made_at_ms bigint not null,
    workspace_id text not null,
    link_id text not null,
    domain_id text not null,
    decision integer not null,
    tracked integer not null,
    token_suppressed text not null,
    crawler integer not null,
    destination_host text not null,
    touch_type text not null,
    placement text not null,
    referrer_host text not null,
    utm_source text not null,
    utm_medium text not null,
    utm_campaign text not null,
    utm_term text not null,
    utm_content text not null,
    tags text not null,
    country text not null,
    region text not null,
    city text not null,
    language text not null,
    purpose text not null,
    network text not null,
    -- What its clicks were worth when they were made; click_judgments holds what was thought of each later.
    quality text not null,
    reason text not null,
    -- Which agent made them, where that was known at once.
    agent_id integer
);

-- Workspaces by a short number of this log.
create table click_workspaces (
    workspace_no integer primary key,
    workspace_id text not null
);
create unique index workspaces_by_id on click_workspaces (workspace_id);
@no_change click_workspaces;
insert into click_workspaces select row_number() over (order by workspace_id), workspace_id
from (select distinct workspace_id from clicks);

-- One process's click log. The facts of a click are decided when it happens and never rewritten.
create table click_rows (
    seq @sequence,
    -- The 16 bytes of its id.
    click_id bytea not null,
    workspace_no integer not null,
    clicked_at_ms bigint not null,
    -- The daily hash of a visitor; null where privacy is strict. Its key is gone after its day.
    visitor bytea,
    context_id integer not null
);

-- The clicks of before: those of a day that have everything in common share a context, named after the first of them.
insert into click_contexts
select min(seq), min(clicked_at_ms), workspace_id, link_id, domain_id, decision, tracked, token_suppressed, crawler,
    destination_host, touch_type, placement, referrer_host, utm_source, utm_medium, utm_campaign, utm_term, utm_content,
    tags, country, region, city, language, purpose, network, quality, reason, agent_id
from clicks
group by clicked_at_ms / 86400000, workspace_id, link_id, domain_id, decision, tracked, token_suppressed, crawler, destination_host, touch_type,
    placement, referrer_host, utm_source, utm_medium, utm_campaign, utm_term, utm_content, tags, country, region, city,
    language, purpose, network, quality, reason, agent_id;
insert into click_rows
select seq, unhex(replace(click_id, '-', '')), workspace_no, clicked_at_ms, visitor, min(seq) over (
    partition by clicked_at_ms / 86400000, workspace_id, link_id, domain_id, decision, tracked, token_suppressed, crawler, destination_host,
        touch_type, placement, referrer_host, utm_source, utm_medium, utm_campaign, utm_term, utm_content, tags,
        country, region, city, language, purpose, network, quality, reason, agent_id
)
from clicks join click_workspaces using (workspace_id);

drop trigger clicks_no_delete;
drop trigger click_agents_no_delete;
drop trigger click_judgments_no_delete;
drop table clicks;

create index clicks_by_id on click_rows (workspace_no, click_id);
create index clicks_by_context on click_rows (context_id);
create index contexts_by_link on click_contexts (link_id);
@no_change click_contexts;
@no_change click_rows;
-- What is old enough may be forgotten, and with a click whatever was kept about it.
@no_delete click_rows unless old.clicked_at_ms < coalesce((select value from marks where name = 'forget_before_ms'), 0);
@no_delete click_agents unless not exists (select 1 from click_rows where seq = old.click_seq);
@no_delete click_judgments unless not exists (select 1 from click_rows where seq = old.click_seq);
@no_delete click_contexts unless not exists (select 1 from click_rows where context_id = old.context_id);

-- A click with all that it tells.
create view clicks as
select seq, click_id, workspace_no, workspace_id, link_id, domain_id, clicked_at_ms, decision, tracked,
    token_suppressed, crawler, destination_host, touch_type, placement, referrer_host, utm_source, utm_medium,
    utm_campaign, utm_term, utm_content, tags, country, region, city, language, purpose, network, visitor, quality,
    reason, agent_id
from click_rows join click_contexts on click_contexts.context_id = click_rows.context_id;
