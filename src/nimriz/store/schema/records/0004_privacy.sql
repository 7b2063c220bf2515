-- How much a workspace and a link want to know of their visitors: the stricter of the two counts.
alter table workspaces add column privacy_suppresses_token integer not null default 0;
alter table links add column privacy text not null default '';

-- How many customers a click is tied to: one click that brings many was planted, or shared.
create index ties_by_click on ties (workspace_id, click_id, person_id);
create index test_ties_by_click on test_ties (workspace_id, click_id, person_id);
