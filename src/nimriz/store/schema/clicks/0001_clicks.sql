-- One process's click log. The facts of a click are decided when it happens and never rewritten.
create table clicks (
    seq @sequence,
    click_id text not null,
    workspace_id text not null,
    link_id text not null,
    domain_id text not null,
    clicked_at_ms bigint not null,
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
    utm_content text not null
);
create index clicks_by_link on clicks (link_id, crawler);
@no_change clicks;
