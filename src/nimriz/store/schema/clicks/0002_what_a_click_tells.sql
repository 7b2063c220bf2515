-- Where a click came from, and what it is worth.

alter table clicks add column tags text not null default '[]';
alter table clicks add column country text not null default '';
alter table clicks add column region text not null default '';
alter table clicks add column city text not null default '';
alter table clicks add column language text not null default '';
alter table clicks add column purpose text not null default '';
-- The daily hash of a visitor; null where privacy is strict. Its key is gone after its day.
alter table clicks add column visitor bytea;
-- What the click was worth when it was made; click_judgments holds what was thought of it later.
alter table clicks add column quality text not null default 'human';
alter table clicks add column reason text not null default '';
-- Which agent made it, where that was known at once.
alter table clicks add column agent_id integer;
drop index clicks_by_link;
create index clicks_by_link on clicks (link_id, crawler, quality);
create index clicks_by_id on clicks (workspace_id, click_id);

-- What user agents turned out to be: few distinct ones, written once each.
create table agents (
    agent_id integer primary key,
    kind text not null,
    device text not null,
    os text not null,
    browser text not null
);
create unique index agents_distinct on agents (kind, device, os, browser);
@no_change agents;

-- The second row of a click whose agent had to be read first: it comes a moment after the click.
create table click_agents (
    click_seq bigint primary key,
    agent_id integer not null
);
@no_change click_agents;

-- What was thought of a click after it was made. The newest judgment stands.
create table click_judgments (
    seq @sequence,
    click_seq bigint not null,
    link_id text not null,
    judged_at_ms bigint not null,
    quality text not null,
    reason text not null
);
create index click_judgments_by_click on click_judgments (click_seq, seq);
create index click_judgments_by_link on click_judgments (link_id);
@no_change click_judgments;
insert into click_judgments (click_seq, link_id, judged_at_ms, quality, reason)
select seq, link_id, clicked_at_ms, 'bot', 'declared_crawler' from clicks where crawler = 1;

-- How far other tables have been read, and until when clicks may be forgotten.
create table marks (
    name text primary key,
    value bigint not null
);

-- What is old enough may be forgotten, and with a click whatever was kept about it.
@no_delete clicks unless old.clicked_at_ms < coalesce((select value from marks where name = 'forget_before_ms'), 0);
@no_delete click_agents unless not exists (select 1 from clicks where seq = old.click_seq);
@no_delete click_judgments unless not exists (select 1 from clicks where seq = old.click_seq);
