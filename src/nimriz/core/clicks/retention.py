"""Retention: which clicks are kept, and for how long. Owns the table marks of a click log.

A plan bounds what reports show. A click's row is kept as long, at least 32 days, and for good when it brought a
conversion. Everything here may run anywhere, twice, or be stopped at any point.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from functools import partial
from itertools import groupby
from time import sleep
from zoneinfo import ZoneInfo

from nimriz.base.clock import DAY_MS
from nimriz.core.clicks import clicks, judgments
from nimriz.core.directory import workspaces
from nimriz.core.directory.entitlements import PLANS
from nimriz.store.db import Database, Params, Row, StoreError, Tx

KEPT_DAYS_MIN = 32
SETTLED_MS = 60_000
"""So long after a verdict its click is on disk, whatever the disk did: it may come later than its conversion."""
FORGOTTEN_MAX = 1_000_000
"""So many forgotten clicks are remembered by their numbers, for copies; one that lags behind further is made anew."""
_TOGETHER = 1_000
# A transaction of so many deletions holds the log for some ten milliseconds; between two, the clicks have their turn.
_FORGOTTEN_TOGETHER = 200
_PAUSE_S = 0.01
_FORGET_BEFORE, _LEDGER_READ, _LEDGER_READ_AGAIN = "forget_before_ms", "ledger_seq", "ledger_seq_again"
_ATTRIBUTED = (
    "select seq, workspace_id, click_id from verdicts where seq > :after_seq and status = 'attributed' "
    "and judged_at_ms <= :until_ms order by seq limit :limit_count"
)
_CONVERTED = "exists (select 1 from click_judgments as j where j.click_seq = clicks.seq and j.reason = 'converted')"
# The newest click stays, so that no number is ever given twice.
_OLD = (
    f"select seq, click_id from click_rows as clicks where {clicks.OF_WORKSPACE} and click_id > :after_id "
    f"and click_id < :before_id and not {_CONVERTED} and seq < (select max(seq) from click_rows) "
    "order by click_id limit :limit_count"
)
_FORGET = (
    f"delete from click_rows as clicks where seq in (:keys) and not {_CONVERTED} returning seq",
    "delete from click_agents where click_seq in (:keys) "
    "and not exists (select 1 from click_rows where seq = click_seq)",
    "delete from click_judgments where click_seq in (:keys) "
    "and not exists (select 1 from click_rows where seq = click_seq)",
)
# The newest context stays as well, for the same reason.
_UNNAMED = (
    "select context_id from click_contexts as c where context_id > :after_id and made_at_ms < :before_ms "
    "and context_id < (select max(context_id) from click_contexts) "
    "and not exists (select 1 from click_rows where click_rows.context_id = c.context_id) "
    "order by context_id limit :limit_count"
)
_FORGET_CONTEXTS = (
    "delete from click_contexts where context_id in (:keys) "
    "and not exists (select 1 from click_rows where click_rows.context_id = click_contexts.context_id)"
)
_FORGOTTEN = "insert into forgotten (click_seq) values (:click_seq)"
_FORGOTTEN_LONG_AGO = "delete from forgotten where seq <= (select max(seq) from forgotten) - :kept_max"


def shown_from_ms(plan: str, now_ms: int) -> int:
    """The instant from which on a plan shows clicks. Raises StoreError for a plan that is none."""
    if plan not in PLANS:
        raise StoreError("a plan that this version does not know")
    return now_ms - PLANS[plan].click_retention_days * DAY_MS


def first_day_shown(from_ms: int, zone: ZoneInfo) -> str:
    """The first day that is shown whole, as 2026-11-23, when clicks are shown from an instant on."""
    day = datetime.fromtimestamp(from_ms // 1000, zone).date()
    begins_ms = int(datetime.combine(day, time(), zone).timestamp()) * 1000
    return (day if begins_ms >= from_ms else day + timedelta(days=1)).isoformat()


def mark_converted(records: Database, log: Database, now_ms: int) -> int:
    """Judge the clicks of a log that brought conversions since the last time as a person's; how many were."""
    return _mark_converted(records, log, now_ms, _LEDGER_READ, until_ms=1 << 62)


def mark_late_ones(records: Database, log: Database, now_ms: int) -> int:
    """The same once more for verdicts that have settled: their clicks may have come to the disk after them."""
    return _mark_converted(records, log, now_ms, _LEDGER_READ_AGAIN, until_ms=now_ms - SETTLED_MS)


def _mark_converted(records: Database, log: Database, now_ms: int, mark: str, until_ms: int) -> int:
    marked = 0
    after_seq = log.read(partial(_mark, name=mark))
    while rows := records.read(partial(_attributed, after_seq=after_seq, until_ms=until_ms)):
        after_seq = int(rows[-1][0])
        marked += log.write(partial(_convert, rows=rows, mark=mark, upto_seq=after_seq, now_ms=now_ms))
    return marked


def read_no_further(tx: Tx, last_seq: int) -> None:
    """Have a log that was kept for longer than its ledger look at the verdicts that follow the ledger's last one.

    The ledger gives their numbers once more, to others.
    """
    for mark in (_LEDGER_READ, _LEDGER_READ_AGAIN):
        if _mark(tx, mark) > last_seq:
            _set_mark(tx, mark, last_seq)


def _attributed(tx: Tx, after_seq: int, until_ms: int) -> list[Row]:
    return tx.all(_ATTRIBUTED, {"after_seq": after_seq, "until_ms": until_ms, "limit_count": _TOGETHER})


def _convert(tx: Tx, rows: list[Row], mark: str, upto_seq: int, now_ms: int) -> int:
    marked = 0
    for workspace_id, of_workspace in groupby(sorted((row[1], row[2]) for row in rows), key=lambda pair: pair[0]):
        click_ids = list(dict.fromkeys(click_id for _, click_id in of_workspace))
        marked += judgments.mark_converted(tx, workspace_id, click_ids, now_ms)
    # Never backwards: two processes may do this at the same time.
    _set_mark(tx, mark, max(upto_seq, _mark(tx, mark)))
    return marked


def forget_clicks(records: Database, log: Database, now_ms: int) -> int:
    """Delete the clicks of a log that are kept no longer, some at a time; how many were.

    The ledger's conversions are marked first, so that no click that brought one is lost.
    """
    mark_converted(records, log, now_ms)
    mark_late_ones(records, log, now_ms)
    forgotten = 0
    for workspace in records.read(workspaces.find_all):
        if workspace.plan not in PLANS:
            continue  # A newer version's plan: it knows how long.
        days = max(KEPT_DAYS_MIN, PLANS[workspace.plan].click_retention_days)
        params: Params = {
            "workspace_id": workspace.workspace_id,
            "before_id": clicks.first_id(now_ms - days * DAY_MS),
            "after_id": b"",
            "limit_count": _FORGOTTEN_TOGETHER,
        }
        while rows := log.read(partial(_old, params=params)):
            seqs = [row[0] for row in rows]
            forgotten += log.write(partial(_forget, seqs=seqs, before_ms=now_ms - KEPT_DAYS_MIN * DAY_MS))
            params = {**params, "after_id": rows[-1][1]}
            sleep(_PAUSE_S)
    _forget_contexts(log, now_ms - KEPT_DAYS_MIN * DAY_MS)
    return forgotten


def _forget_contexts(log: Database, before_ms: int) -> None:
    """Delete what no click has in common any more. Nobody names one of these again: they are not of today."""
    params: Params = {"before_ms": before_ms, "after_id": 0, "limit_count": _TOGETHER}
    while rows := log.read(partial(_unnamed, params=params)):
        context_ids = [row[0] for row in rows]
        log.write(partial(_forget_these, context_ids=context_ids))
        params = {**params, "after_id": context_ids[-1]}
        sleep(_PAUSE_S)


def _forget_these(tx: Tx, context_ids: list[int]) -> None:
    tx.each(_FORGET_CONTEXTS, context_ids)


def _unnamed(tx: Tx, params: Params) -> list[Row]:
    return tx.all(_UNNAMED, params)


def _old(tx: Tx, params: Params) -> list[Row]:
    return tx.all(_OLD, params)


def _forget(tx: Tx, seqs: list[int], before_ms: int) -> int:
    # The database itself refuses to delete a click that is younger than this.
    _set_mark(tx, _FORGET_BEFORE, before_ms)
    gone = [row[0] for row in tx.each(_FORGET[0], seqs)]
    for statement in _FORGET[1:]:
        tx.each(statement, gone)
    tx.many(_FORGOTTEN, [(seq,) for seq in gone])
    tx.run(_FORGOTTEN_LONG_AGO, {"kept_max": FORGOTTEN_MAX})
    return len(gone)


def _mark(tx: Tx, name: str) -> int:
    row = tx.one("select value from marks where name = :name", {"name": name})
    return 0 if row is None else int(row[0])


def _set_mark(tx: Tx, name: str, value: int) -> None:
    tx.run(
        "insert into marks (name, value) values (:name, :value) "
        "on conflict (name) do update set value = excluded.value",
        {"name": name, "value": value},
    )
