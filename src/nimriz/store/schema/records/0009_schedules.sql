-- Exports that are made by themselves. `next_day` is the first day of the period that comes next, in the workspace's zone.
create table export_schedules (
    schedule_id text primary key,
    workspace_id text not null,
    name text not null,
    every text not null,
    subject text not null,
    format text not null,
    asked text not null,
    folder text not null,
    since_last integer not null,
    actor text not null,
    created_at_ms bigint not null,
    next_day text not null,
    due_ms bigint not null,
    last_export_id text not null,
    last_after text not null
);
create index export_schedules_by_workspace on export_schedules (workspace_id, schedule_id);
create index export_schedules_due on export_schedules (due_ms);
