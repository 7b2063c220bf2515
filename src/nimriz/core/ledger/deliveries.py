"""Deliveries: what became of each HTTP attempt at the Conversion API, for a while, found by its support reference.

Owns the database `deliveries`. Kept apart from the ledger, bounded for each workspace, kind and hour; what is left out
is counted. Of a body only the names of its fields are kept, and of one that nobody has signed not even these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from nimriz.base.clock import DAY_MS
from nimriz.store.db import Params, Tx

Kind = Literal["accepted", "refused", "unsigned"]
"""`refused` was signed by the workspace; of `unsigned` nobody knows who sent it, so that has a bound apart."""

KINDS: tuple[Kind, ...] = ("accepted", "refused", "unsigned")
REFUSED_DAYS = 30
HOUR_MS = 3_600_000
_FORGOTTEN_TOGETHER = 1_000

Hour = tuple[str, Kind, int]
"""Workspace, kind, and the beginning of the hour."""


class Delivery(NamedTuple):
    """One attempt. Empty strings and None where nothing is known; `details` is JSON, '' for none."""

    workspace_id: str
    kind: Kind
    support_reference: str
    received_at_ms: int
    took_us: int
    http_status: int
    code: str
    mode: str
    secret_id: str
    is_batch: int
    is_rehearsal: int
    body_bytes: int | None
    event_id: str
    details: str

    @property
    def hour(self) -> Hour:
        """The hour whose bound it counts against."""
        return self.workspace_id, self.kind, self.received_at_ms // HOUR_MS * HOUR_MS


class Filters(NamedTuple):
    """Which deliveries; '' and 0 ask for all."""

    kinds: tuple[Kind, ...] = KINDS
    from_ms: int = 0
    to_ms: int = 10**18
    code: str = ""
    http_status: int = 0
    mode: str = ""
    event_id: str = ""


_COLUMNS = ", ".join(Delivery._fields)
_KEEP = f"insert into deliveries ({_COLUMNS}) values ({', '.join(':' + f for f in Delivery._fields)})"
_HOUR = (
    "select kept_count from delivery_hours where workspace_id = :workspace_id and kind = :kind and hour_ms = :hour_ms"
)
_COUNT = (
    "insert into delivery_hours (workspace_id, kind, hour_ms, kept_count, left_out_count) "
    "values (:workspace_id, :kind, :hour_ms, :kept_count, :left_out_count) "
    "on conflict (workspace_id, kind, hour_ms) do update set kept_count = delivery_hours.kept_count + "
    "excluded.kept_count, left_out_count = delivery_hours.left_out_count + excluded.left_out_count"
)
_FIND = (
    f"select {_COLUMNS} from deliveries where workspace_id = :workspace_id "
    "and kind in (:keys) and support_reference = :support_reference"
)
_PAGE = (
    f"select {_COLUMNS} from deliveries where workspace_id = :workspace_id and kind = :kind "
    "and (:before = '' or support_reference < :before) "
    "and received_at_ms >= :from_ms and received_at_ms < :to_ms and (:code = '' or code = :code) "
    "and (:http_status = 0 or http_status = :http_status) and (:mode = '' or mode = :mode) "
    "and (:event_id = '' or event_id = :event_id) order by support_reference desc limit :limit_count"
)
_FORGET = (
    "delete from deliveries where workspace_id = :workspace_id and kind = :kind and support_reference in ("
    "select support_reference from deliveries where workspace_id = :workspace_id and kind = :kind "
    f"and support_reference < :before limit {_FORGOTTEN_TOGETHER}) returning support_reference"
)


def keep(tx: Tx, deliveries: Sequence[Delivery], left_out: Mapping[Hour, int], most: Mapping[Kind, int]) -> int:
    """Keep what the bound `most` of each hour allows; returns how many were left out here.

    `left_out` are those that did not even come this far.
    """
    by_hour: dict[Hour, list[Delivery]] = {hour: [] for hour in left_out}
    for delivery in deliveries:
        by_hour.setdefault(delivery.hour, []).append(delivery)
    kept: list[Delivery] = []
    counts: list[tuple[str, str, int, int, int]] = []
    for hour, of_hour in by_hour.items():
        row = tx.one(_HOUR, _of_hour(hour))
        room = max(0, most[hour[1]] - (0 if row is None else int(row[0])))
        kept += of_hour[:room]
        counts.append((*hour, len(of_hour[:room]), len(of_hour[room:]) + left_out.get(hour, 0)))
    tx.many(_KEEP, kept)
    for count in counts:
        tx.run(
            _COUNT, dict(zip(("workspace_id", "kind", "hour_ms", "kept_count", "left_out_count"), count, strict=True))
        )
    return len(deliveries) - len(kept)


def _of_hour(hour: Hour) -> Params:
    return {"workspace_id": hour[0], "kind": hour[1], "hour_ms": hour[2]}


def find(tx: Tx, workspace_id: str, support_reference: str) -> Delivery | None:
    """The delivery of a support reference."""
    params: Params = {"workspace_id": workspace_id, "support_reference": support_reference}
    rows = tx.each(_FIND, KINDS, params)
    return Delivery._make(rows[0]) if rows else None


def page(tx: Tx, workspace_id: str, filters: Filters, before: str, limit: int) -> list[Delivery]:
    """At most `limit` deliveries, the newest first, whose reference comes before `before` ('': all)."""
    found: list[Delivery] = []
    for kind in filters.kinds:
        params: Params = {
            "workspace_id": workspace_id,
            "kind": kind,
            "before": before,
            "from_ms": filters.from_ms,
            "to_ms": filters.to_ms,
            "code": filters.code,
            "http_status": filters.http_status,
            "mode": filters.mode,
            "event_id": filters.event_id,
            "limit_count": limit,
        }
        found += [Delivery._make(row) for row in tx.all(_PAGE, params)]
    return sorted(found, key=lambda delivery: delivery.support_reference, reverse=True)[:limit]


def left_out(tx: Tx, workspace_id: str, from_ms: int, to_ms: int) -> dict[str, int]:
    """How many were left out by kind, in the hours that begin in a period."""
    rows = tx.all(
        "select kind, sum(left_out_count) from delivery_hours where workspace_id = :workspace_id "
        "and hour_ms >= :from_ms and hour_ms < :to_ms group by kind",
        {"workspace_id": workspace_id, "from_ms": from_ms // HOUR_MS * HOUR_MS, "to_ms": to_ms},
    )
    return {**dict.fromkeys(KINDS, 0), **{kind: int(count) for kind, count in rows}}


def forget_some(tx: Tx, first_kept: Mapping[Kind, str], now_ms: int) -> int:
    """Delete some of what is kept no longer; how many, 0 when nothing is left to delete.

    `first_kept` is the support reference from which on a kind is kept.
    """
    gone = 0
    held = tx.all("select distinct workspace_id, kind from delivery_hours")
    for workspace_id, kind in held:
        params: Params = {"workspace_id": workspace_id, "kind": kind, "before": first_kept[kind]}
        gone += len(tx.all(_FORGET, params))
    tx.run("delete from delivery_hours where hour_ms < :before_ms", {"before_ms": now_ms - (REFUSED_DAYS + 1) * DAY_MS})
    return gone
