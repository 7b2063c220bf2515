"""The docket: what is still to be judged again, because it was too much for one request.

Owns the table docket. An entry names an event (it and all that it concerns are to be heard), a person (their leads and
sales from an event time on) or an exclusion (what it covers, from a seq on). A background job works it off within
seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from nimriz.core.directory.mode import Mode, by_mode
from nimriz.store.db import Params, Tx

Subject = Literal["event", "person", "exclusion"]
ENTRIES_MAX = 1_000

_ENTER = by_mode(
    "insert into @docket (workspace_id, subject, subject_id, from_ms, after_event_id, entered_at_ms) "
    "values (:workspace_id, :subject, :subject_id, :from_ms, '', :now_ms) "
    "on conflict (workspace_id, subject, subject_id) do update set after_event_id = '', "
    "entered_at_ms = @docket.entered_at_ms + 1, "
    "from_ms = case when excluded.from_ms < @docket.from_ms then excluded.from_ms else @docket.from_ms end"
)
_ENTRY = "workspace_id = :workspace_id and subject = :subject and subject_id = :subject_id"
_WAITING = by_mode(
    "select workspace_id, subject, subject_id from @docket "
    f"order by entered_at_ms, workspace_id, subject, subject_id limit {ENTRIES_MAX}"
)
_PLACE = by_mode(f"select from_ms, after_event_id from @docket where {_ENTRY}")
_MOVE_ON = by_mode(f"update @docket set from_ms = :from_ms, after_event_id = :after_event_id where {_ENTRY}")
_DROP_PERSONS = by_mode(
    "delete from @docket where workspace_id = :workspace_id and subject = 'person' and subject_id in (:keys) "
    "returning subject_id"
)
_ENTERED = by_mode(f"select entered_at_ms from @docket where {_ENTRY}")
_LEAVE = by_mode(f"delete from @docket where {_ENTRY} and (:entered = 0 or entered_at_ms = :entered)")


class Entry(NamedTuple):
    """One subject that waits."""

    workspace_id: str
    subject: Subject
    subject_id: str


def enter(tx: Tx, mode: Mode, entry: Entry, from_ms: int, now_ms: int) -> None:
    """Enter a subject; one that waits already waits from the earlier event time on, and is known to be asked anew."""
    tx.run(_ENTER[mode], {**entry._asdict(), "from_ms": from_ms, "now_ms": now_ms})


def waiting(tx: Tx, mode: Mode) -> list[Entry]:
    """What waits, the longest first, at most 1,000."""
    return [Entry._make(row) for row in tx.all(_WAITING[mode])]


def place(tx: Tx, mode: Mode, entry: Entry) -> tuple[int, str] | None:
    """After which turn (event time, event id) a person's outcomes are still to be heard."""
    row = tx.one(_PLACE[mode], entry._asdict())
    return None if row is None else (row[0], row[1])


def move_on(tx: Tx, mode: Mode, entry: Entry, after: tuple[int, str]) -> None:
    """Remember that a person's outcomes have been heard up to a turn."""
    params: Params = {**entry._asdict(), "from_ms": after[0], "after_event_id": after[1]}
    tx.run(_MOVE_ON[mode], params)


def entered(tx: Tx, mode: Mode, entry: Entry) -> int | None:
    """When a subject was entered; another number each time it is entered again. None when it does not wait."""
    row = tx.one(_ENTERED[mode], entry._asdict())
    return None if row is None else int(row[0])


def leave(tx: Tx, mode: Mode, entry: Entry, entered: int = 0) -> None:
    """The subject has been heard; with `entered`, only if it was not entered again since."""
    tx.run(_LEAVE[mode], {**entry._asdict(), "entered": entered})


def drop_persons(tx: Tx, mode: Mode, workspace_id: str, person_ids: Sequence[str]) -> None:
    """Persons who were erased are not heard again."""
    tx.each(_DROP_PERSONS[mode], person_ids, {"workspace_id": workspace_id})
