-- The ledger, twice: live outcomes, and test outcomes in tables of their own.

-- The live ledger. An outcome, once appended, is never changed or removed.
create table outcomes (
    seq @sequence,
    outcome_id text not null,
    workspace_id text not null,
    event_id text not null,
    event_name text not null,
    event_time_ms bigint not null,
    event_time_given integer not null,
    received_at_ms bigint not null,
    click_token text not null,
    person_id text not null,
    identified integer not null,
    value_minor bigint,
    currency text not null,
    order_id text not null,
    quantity integer,
    related_event_id text not null,
    related_order_id text not null,
    secret_id text not null,
    commitment bytea not null
);
create unique index outcomes_by_event on outcomes (workspace_id, event_id);
create index outcomes_by_time on outcomes (workspace_id, event_time_ms, event_id);
create index outcomes_by_order on outcomes (workspace_id, order_id) where order_id <> '';
create index outcomes_by_person on outcomes (person_id, event_time_ms, event_id) where person_id <> '';
create index outcomes_by_related_event on outcomes (workspace_id, related_event_id)
    where related_event_id <> '';
create index outcomes_by_related_order on outcomes (workspace_id, related_order_id)
    where related_order_id <> '';
@append_only outcomes (workspace_id, event_id);

-- A dated attribution decision; the newest of an event stands.
create table verdicts (
    seq @sequence,
    workspace_id text not null,
    event_id text not null,
    judged_at_ms bigint not null,
    status text not null,
    method text not null,
    reason text not null,
    link_id text not null,
    decision integer not null,
    click_id text not null,
    clicked_at_ms bigint,
    window_days integer
);
create index verdicts_by_event on verdicts (workspace_id, event_id, seq);
@append_only verdicts;

-- A dated settlement of a follow-on; the newest of an event stands. Amounts are integers as text, since
-- 93 of the largest sales in one order come to more than 64 bits; '' stands for none.
create table settlements (
    seq @sequence,
    workspace_id text not null,
    event_id text not null,
    judged_at_ms bigint not null,
    status text not null,
    currency text not null,
    applied_minor text not null,
    excess_minor text not null,
    remaining_minor text not null
);
create index settlements_by_event on settlements (workspace_id, event_id, seq);
@append_only settlements;

-- Money taken from a sale by a follow-on, or given back: signed, and only ever added to. What stands
-- between an event and a sale is the sum of its movements.
create table movements (
    seq @sequence,
    workspace_id text not null,
    event_id text not null,
    sale_event_id text not null,
    amount_minor bigint not null,
    moved_at_ms bigint not null
);
create index movements_by_event on movements (workspace_id, event_id, sale_event_id);
create index movements_by_sale on movements (workspace_id, sale_event_id, event_id);
@append_only movements;

-- Which clicks a person's external id is tied to, and from which event time on.
create table ties (
    seq @sequence,
    workspace_id text not null,
    person_id text not null,
    click_id text not null,
    link_id text not null,
    decision integer not null,
    clicked_at_ms bigint not null,
    window_days integer not null,
    from_ms bigint not null,
    event_id text not null,
    tied_at_ms bigint not null
);
create index ties_by_person on ties (person_id, clicked_at_ms, click_id);
@append_only ties;

-- What erasure empties: ordinary tables. Without key_salt nothing of a person can be read again.
create table persons (
    person_id text primary key,
    workspace_id text not null,
    lookup bytea,
    key_salt bytea not null,
    external_id_sealed bytea not null,
    created_at_ms bigint not null
);
create unique index persons_by_lookup on persons (lookup) where lookup is not null;

create table metadata (
    workspace_id text not null,
    event_id text not null,
    person_id text not null,
    sealed bytea not null,
    primary key (workspace_id, event_id)
);
create index metadata_by_person on metadata (person_id);

create table idempotency_keys (
    workspace_id text not null,
    idempotency_key text not null,
    event_id text not null,
    first_at_ms bigint not null,
    primary key (workspace_id, idempotency_key)
);
create index idempotency_keys_by_time on idempotency_keys (first_at_ms);

-- What is still to be judged again, when it was too much for one request.
create table docket (
    workspace_id text not null,
    subject text not null,
    subject_id text not null,
    from_ms bigint not null,
    after_event_id text not null,
    entered_at_ms bigint not null,
    primary key (workspace_id, subject, subject_id)
);

-- The test ledger. An outcome, once appended, is never changed; it is emptied only as a whole.
create table test_outcomes (
    seq @sequence,
    outcome_id text not null,
    workspace_id text not null,
    event_id text not null,
    event_name text not null,
    event_time_ms bigint not null,
    event_time_given integer not null,
    received_at_ms bigint not null,
    click_token text not null,
    person_id text not null,
    identified integer not null,
    value_minor bigint,
    currency text not null,
    order_id text not null,
    quantity integer,
    related_event_id text not null,
    related_order_id text not null,
    secret_id text not null,
    commitment bytea not null
);
create unique index test_outcomes_by_event on test_outcomes (workspace_id, event_id);
create index test_outcomes_by_time on test_outcomes (workspace_id, event_time_ms, event_id);
create index test_outcomes_by_order on test_outcomes (workspace_id, order_id) where order_id <> '';
create index test_outcomes_by_person on test_outcomes (person_id, event_time_ms, event_id) where person_id <> '';
create index test_outcomes_by_related_event on test_outcomes (workspace_id, related_event_id)
    where related_event_id <> '';
create index test_outcomes_by_related_order on test_outcomes (workspace_id, related_order_id)
    where related_order_id <> '';
@no_update test_outcomes (workspace_id, event_id);

-- A dated attribution decision; the newest of an event stands.
create table test_verdicts (
    seq @sequence,
    workspace_id text not null,
    event_id text not null,
    judged_at_ms bigint not null,
    status text not null,
    method text not null,
    reason text not null,
    link_id text not null,
    decision integer not null,
    click_id text not null,
    clicked_at_ms bigint,
    window_days integer
);
create index test_verdicts_by_event on test_verdicts (workspace_id, event_id, seq);
@no_update test_verdicts;

-- A dated settlement of a follow-on; the newest of an event stands. Amounts are integers as text, since
-- 93 of the largest sales in one order come to more than 64 bits; '' stands for none.
create table test_settlements (
    seq @sequence,
    workspace_id text not null,
    event_id text not null,
    judged_at_ms bigint not null,
    status text not null,
    currency text not null,
    applied_minor text not null,
    excess_minor text not null,
    remaining_minor text not null
);
create index test_settlements_by_event on test_settlements (workspace_id, event_id, seq);
@no_update test_settlements;

-- Money taken from a sale by a follow-on, or given back: signed, and only ever added to. What stands
-- between an event and a sale is the sum of its movements.
create table test_movements (
    seq @sequence,
    workspace_id text not null,
    event_id text not null,
    sale_event_id text not null,
    amount_minor bigint not null,
    moved_at_ms bigint not null
);
create index test_movements_by_event on test_movements (workspace_id, event_id, sale_event_id);
create index test_movements_by_sale on test_movements (workspace_id, sale_event_id, event_id);
@no_update test_movements;

-- Which clicks a person's external id is tied to, and from which event time on.
create table test_ties (
    seq @sequence,
    workspace_id text not null,
    person_id text not null,
    click_id text not null,
    link_id text not null,
    decision integer not null,
    clicked_at_ms bigint not null,
    window_days integer not null,
    from_ms bigint not null,
    event_id text not null,
    tied_at_ms bigint not null
);
create index test_ties_by_person on test_ties (person_id, clicked_at_ms, click_id);
@no_update test_ties;

-- What erasure empties: ordinary tables. Without key_salt nothing of a person can be read again.
create table test_persons (
    person_id text primary key,
    workspace_id text not null,
    lookup bytea,
    key_salt bytea not null,
    external_id_sealed bytea not null,
    created_at_ms bigint not null
);
create unique index test_persons_by_lookup on test_persons (lookup) where lookup is not null;

create table test_metadata (
    workspace_id text not null,
    event_id text not null,
    person_id text not null,
    sealed bytea not null,
    primary key (workspace_id, event_id)
);
create index test_metadata_by_person on test_metadata (person_id);

create table test_idempotency_keys (
    workspace_id text not null,
    idempotency_key text not null,
    event_id text not null,
    first_at_ms bigint not null,
    primary key (workspace_id, idempotency_key)
);
create index test_idempotency_keys_by_time on test_idempotency_keys (first_at_ms);

-- What is still to be judged again, when it was too much for one request.
create table test_docket (
    workspace_id text not null,
    subject text not null,
    subject_id text not null,
    from_ms bigint not null,
    after_event_id text not null,
    entered_at_ms bigint not null,
    primary key (workspace_id, subject, subject_id)
);
