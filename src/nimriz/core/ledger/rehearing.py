"""Rehearing: what waits in the docket is judged on a snapshot, and written at once if nothing came between.

An order of ten thousand follow-ons takes long to settle anew, and whoever holds the ledger's transaction meanwhile
keeps everybody else waiting. So a Hearing is held apart from it, on a snapshot, and only its result is written. If
events, ties, verdicts or movements have come since that it did not see and that may change it, it is not written: the
caller then hears again inside the transaction. An event that waits in the docket comes between nothing: it is heard
after this.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from nimriz.core.directory.mode import Mode, by_mode
from nimriz.core.ledger import docket
from nimriz.core.ledger.docket import Entry
from nimriz.core.ledger.hearing import Hearing, Seen
from nimriz.store.db import Row, Tx
from nimriz.store.prepared import Prepared

WORK_S, REST_S = 0.001, 0.003

_NEWEST = by_mode(
    "select coalesce((select max(seq) from @outcomes), 0), coalesce((select max(seq) from @verdicts), 0), "
    "coalesce((select max(seq) from @settlements), 0), coalesce((select max(seq) from @movements), 0), "
    "coalesce((select max(seq) from @ties), 0)"
)
_SINCE = "where seq > :after_seq and workspace_id = :workspace_id"
_OUTCOMES = by_mode(f"select event_id, related_event_id, order_id, related_order_id from @outcomes {_SINCE}")
_VERDICTS = by_mode(f"select event_id from @verdicts {_SINCE}")
_SETTLEMENTS = by_mode(f"select event_id from @settlements {_SINCE}")
_MOVEMENTS = by_mode(f"select sale_event_id from @movements {_SINCE}")
_TIES = by_mode(f"select person_id from @ties {_SINCE}")


class Breath:
    """Lets the other threads have the interpreter: after a millisecond of work, three of rest."""

    def __init__(self) -> None:
        self._since_s = time.perf_counter()

    def __call__(self) -> None:
        """Rest, when it is time."""
        if time.perf_counter() - self._since_s > WORK_S:
            time.sleep(REST_S)
            self._since_s = time.perf_counter()


class Reheard(NamedTuple):
    """The result of a hearing on a snapshot, and up to where that reached."""

    entries: list[tuple[Entry, int]]
    prepared: Prepared
    seen: Seen
    newest: Row


def prepare(tx: Tx, mode: Mode, entries: Sequence[Entry], hearing_on: Callable[[Tx], Hearing]) -> Reheard:
    """Hear the events of these entries, all of one workspace, on a snapshot; nothing is written."""
    newest = tx.one(_NEWEST[mode])
    assert newest is not None
    entered = [(entry, at) for entry in entries if (at := docket.entered(tx, mode, entry)) is not None]
    prepared = Prepared(tx)
    hearing = hearing_on(prepared)
    hearing.hear_again([entry.subject_id for entry, _ in entered])
    return Reheard(entered, prepared, hearing.seen(), newest)


def perform(tx: Tx, mode: Mode, reheard: Reheard) -> bool:
    """Write what was heard and strike the entries; False, and nothing is written, when something came between."""
    if not reheard.entries:
        return True
    workspace_id = reheard.entries[0][0].workspace_id
    if _came_between(tx, mode, workspace_id, reheard):
        return False
    reheard.prepared.perform(tx)
    for entry, entered in reheard.entries:
        docket.leave(tx, mode, entry, entered)
    return True


def _came_between(tx: Tx, mode: Mode, workspace_id: str, reheard: Reheard) -> bool:
    seen = reheard.seen
    outcomes, verdicts, settlements, movements, ties = reheard.newest

    def since(sql: str, after_seq: int) -> list[Row]:
        return tx.all(sql, {"after_seq": after_seq, "workspace_id": workspace_id})

    rows = since(_OUTCOMES[mode], outcomes)
    waiting = {row[0] for row in rows if docket.entered(tx, mode, Entry(workspace_id, "event", row[0])) is not None}
    # One event in the docket has its whole order settled again, but only its own verdict judged.
    settling = set() if seen.verdicts_changed else {name for row in rows if row[0] in waiting for name in row[1:]}
    for event_id, *names in rows:
        concerned = ({event_id, names[0]} & seen.events) | (set(names[1:]) & seen.orders)
        if concerned and event_id not in waiting and not concerned <= settling:
            return True
    return (
        any(row[0] in seen.events for row in since(_VERDICTS[mode], verdicts))
        or any(row[0] in seen.events for row in since(_SETTLEMENTS[mode], settlements))
        or any(row[0] in seen.events for row in since(_MOVEMENTS[mode], movements))
        or any(row[0] in seen.persons for row in since(_TIES[mode], ties))
    )
