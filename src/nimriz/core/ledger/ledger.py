"""The outcome ledger: append-only, idempotent by event id.

Owns the tables outcomes and idempotency_keys. A row, once appended, is never changed or removed; a
refund is another row that names the sale. Nobody else writes here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from nimriz.base.clock import DAY_MS
from nimriz.core.directory.mode import Mode, by_mode
from nimriz.store.db import Params, Tx

FOLLOW_ONS = frozenset({"refund", "cancellation", "reversal"})
IDEMPOTENCY_KEY_MS = DAY_MS


class Outcome(NamedTuple):
    """One immutable ledger row. An empty string means that the field was not sent.

    `identified` is 1 when the event came with an external id; a person id alone does not say so, since
    metadata has a person too.
    """

    outcome_id: str
    workspace_id: str
    event_id: str
    event_name: str
    event_time_ms: int
    event_time_given: int
    received_at_ms: int
    click_token: str
    person_id: str
    identified: int
    value_minor: int | None
    currency: str
    order_id: str
    quantity: int | None
    related_event_id: str
    related_order_id: str
    secret_id: str
    commitment: bytes

    @property
    def turn(self) -> tuple[int, str]:
        """What "earlier" is by: event time, then event id (code points order as UTF-8 bytes do)."""
        return self.event_time_ms, self.event_id

    @property
    def is_follow_on(self) -> bool:
        """Whether this is a refund, a cancellation or a reversal."""
        return self.event_name in FOLLOW_ONS


_COLUMNS = ", ".join(Outcome._fields)
_APPEND = by_mode(f"insert into @outcomes ({_COLUMNS}) values ({', '.join(':' + f for f in Outcome._fields)})")
_FIND = by_mode(f"select {_COLUMNS} from @outcomes where workspace_id = :workspace_id and event_id = :event_id")
_FIND_EACH = by_mode(f"select {_COLUMNS} from @outcomes where workspace_id = :workspace_id and event_id in (:keys)")
_NAMING_EVENTS = by_mode(
    f"select {_COLUMNS} from @outcomes where workspace_id = :workspace_id and related_event_id in (:keys) "
    "and related_event_id <> '' limit :limit_count"
)
_NAMING_ORDERS = by_mode(
    f"select {_COLUMNS} from @outcomes where workspace_id = :workspace_id and related_order_id in (:keys) "
    "and related_order_id <> '' and related_event_id = '' and event_name in ('refund', 'cancellation', 'reversal') "
    "limit :limit_count"
)
_SALES_OF_ORDERS = by_mode(
    f"select {_COLUMNS} from @outcomes where workspace_id = :workspace_id and order_id in (:keys) "
    "and order_id <> '' and event_name = 'sale'"
)
_OF_PERSON = by_mode(
    f"select {_COLUMNS} from @outcomes where person_id = :person_id and person_id <> '' "
    "and (event_time_ms > :from_ms or event_time_ms = :from_ms and event_id > :after_event_id) "
    "and event_name in ('lead', 'sale') order by event_time_ms, event_id limit :limit_count"
)
# In the order of arrival, so that all pages together read the ledger once: an index of the workspace would be sorted
# for each of them, and `coalesce` keeps it out.
_SIGNED_BY = by_mode(
    f"select seq, {_COLUMNS} from @outcomes where coalesce(workspace_id, '') = :workspace_id "
    "and secret_id = :secret_id and received_at_ms >= :from_ms and received_at_ms < :to_ms and seq > :after_seq "
    "order by seq limit :limit_count"
)
_KEYS = by_mode(
    "select idempotency_key, event_id from @idempotency_keys where workspace_id = :workspace_id "
    "and idempotency_key in (:keys) and first_at_ms >= :since_ms"
)
_BIND_KEY = by_mode(
    "insert into @idempotency_keys (workspace_id, idempotency_key, event_id, first_at_ms) "
    "values (:workspace_id, :idempotency_key, :event_id, :first_at_ms) "
    "on conflict (workspace_id, idempotency_key) "
    "do update set event_id = excluded.event_id, first_at_ms = excluded.first_at_ms"
)
_TEST_TABLES = (
    "test_outcomes", "test_verdicts", "test_settlements", "test_movements", "test_ties", "test_persons",
    "test_metadata", "test_idempotency_keys", "test_docket",
)  # fmt: skip
_EMPTIED = "insert into emptyings (workspace_id, emptied_at_ms) values (:workspace_id, :now_ms)"
_FORGET_KEYS = by_mode("delete from @idempotency_keys where first_at_ms < :before_ms")


def append(tx: Tx, mode: Mode, outcomes: Sequence[Outcome]) -> None:
    """Append rows whose event ids are new. The database refuses a second row of one event id."""
    tx.many(_APPEND[mode], outcomes)


def find(tx: Tx, mode: Mode, workspace_id: str, event_id: str) -> Outcome | None:
    """The outcome of an event id."""
    row = tx.one(_FIND[mode], {"workspace_id": workspace_id, "event_id": event_id})
    return None if row is None else Outcome._make(row)


def find_each(tx: Tx, mode: Mode, workspace_id: str, event_ids: Sequence[str]) -> list[Outcome]:
    """The outcomes of those event ids that are there."""
    rows = tx.each(_FIND_EACH[mode], event_ids, {"workspace_id": workspace_id})
    return [Outcome._make(row) for row in rows]


def naming_events(tx: Tx, mode: Mode, workspace_id: str, event_ids: Sequence[str], limit: int) -> list[Outcome]:
    """Outcomes whose `related_event_id` is one of these; about `limit` are enough when there are more."""
    params: Params = {"workspace_id": workspace_id, "limit_count": limit}
    return [Outcome._make(row) for row in tx.each(_NAMING_EVENTS[mode], event_ids, params)]


def naming_orders(tx: Tx, mode: Mode, workspace_id: str, order_ids: Sequence[str], limit: int) -> list[Outcome]:
    """Follow-ons that name one of these orders, and no event; about `limit` are enough when there are more."""
    params: Params = {"workspace_id": workspace_id, "limit_count": limit}
    return [Outcome._make(row) for row in tx.each(_NAMING_ORDERS[mode], order_ids, params)]


def sales_of_orders(tx: Tx, mode: Mode, workspace_id: str, order_ids: Sequence[str]) -> list[Outcome]:
    """Every sale event with one of these order ids, of any currency, those that reinstate included."""
    rows = tx.each(_SALES_OF_ORDERS[mode], order_ids, {"workspace_id": workspace_id})
    return [Outcome._make(row) for row in rows]


def of_person(tx: Tx, mode: Mode, person_id: str, after: tuple[int, str], limit: int) -> list[Outcome]:
    """At most `limit` leads and sales of a person whose turn comes after `after`, earliest first."""
    params: Params = {
        "person_id": person_id,
        "from_ms": after[0],
        "after_event_id": after[1],
        "limit_count": limit,
    }
    return [Outcome._make(row) for row in tx.all(_OF_PERSON[mode], params)]


def signed_by(
    tx: Tx, mode: Mode, workspace_id: str, secret_id: str, period: tuple[int, int], after_seq: int, limit: int
) -> list[tuple[int, Outcome]]:
    """At most `limit` outcomes, with their seq, that a secret signed and that arrived in the period; its end is out."""
    params: Params = {
        "workspace_id": workspace_id,
        "secret_id": secret_id,
        "from_ms": period[0],
        "to_ms": period[1],
        "after_seq": after_seq,
        "limit_count": limit,
    }
    return [(int(row[0]), Outcome._make(row[1:])) for row in tx.all(_SIGNED_BY[mode], params)]


def key_holders(tx: Tx, mode: Mode, workspace_id: str, keys: Sequence[str], now_ms: int) -> dict[str, str]:
    """The event ids to which Idempotency-Keys have been bound in the last 24 h, by key."""
    since: Params = {"workspace_id": workspace_id, "since_ms": now_ms - IDEMPOTENCY_KEY_MS}
    return dict(tx.each(_KEYS[mode], keys, since))


def bind_keys(tx: Tx, mode: Mode, rows: Iterable[tuple[str, str, str, int]]) -> None:
    """Bind (workspace_id, key, event_id, first_at_ms); an older binding of the key is replaced."""
    tx.many(_BIND_KEY[mode], list(rows))


def forget_keys(tx: Tx, mode: Mode, now_ms: int) -> None:
    """Drop the bindings that no longer bind."""
    tx.run(_FORGET_KEYS[mode], {"before_ms": now_ms - IDEMPOTENCY_KEY_MS})


def empty_test(tx: Tx, workspace_id: str, now_ms: int) -> int:
    """Empty a workspace's test ledger as a whole; returns how many events there were."""
    row = tx.one(
        "select count(*) from test_outcomes where workspace_id = :workspace_id", {"workspace_id": workspace_id}
    )
    tx.run(_EMPTIED, {"workspace_id": workspace_id, "now_ms": now_ms})
    for table in _TEST_TABLES:
        tx.run(f"delete from {table} where workspace_id = :workspace_id", {"workspace_id": workspace_id})
    return 0 if row is None else int(row[0])
