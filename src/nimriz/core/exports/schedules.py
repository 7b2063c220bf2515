"""Schedules: exports that are made by themselves, a period at a time, and laid into a folder of the operator.

Owns the table export_schedules. A run belongs to one period and is asked for in the transaction that moves the schedule
on, so it is asked for once, whoever looks, and none is left out: what was missed is caught up, a period at a time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from nimriz.base.errors import Refused
from nimriz.base.ids import new_id
from nimriz.core.clicks import retention
from nimriz.core.directory import workspaces
from nimriz.core.exports import exports
from nimriz.core.exports.exports import Export, Format, Subject
from nimriz.store.db import Params, Tx

Every = Literal["day", "week", "month"]
SCHEDULES_MAX = 50
"""So many schedules a workspace may have."""
SETTLING_MS = 600_000
"""A period's run begins so long after its end, so that what was under way has arrived."""
_AGAIN_MS = 3_600_000
_END_MS = 10**15


class Schedule(NamedTuple):
    """One schedule. `asked` is JSON, `folder` a name under the operator's; `since_last` asks for what is new alone."""

    schedule_id: str
    workspace_id: str
    name: str
    every: Every
    subject: Subject
    format: Format
    asked: str
    folder: str
    since_last: int
    actor: str
    created_at_ms: int
    next_day: str
    due_ms: int
    last_export_id: str
    last_after: str


_COLUMNS = ", ".join(Schedule._fields)
_ADD = f"insert into export_schedules ({_COLUMNS}) values ({', '.join(':' + f for f in Schedule._fields)})"


def add(tx: Tx, draft: Schedule, now_ms: int) -> Schedule:
    """Store a schedule; its first run is for the period that is under way. Raises Refused."""
    exports.require_surface(tx, draft.workspace_id)
    count = tx.one(
        "select count(*) from export_schedules where workspace_id = :workspace_id", {"workspace_id": draft.workspace_id}
    )
    if count is not None and count[0] >= SCHEDULES_MAX:
        raise Refused("quota_exceeded")
    zone = zone_of(tx, draft.workspace_id)
    first = first_day(draft.every, datetime.fromtimestamp(now_ms / 1000, zone).date())
    schedule = draft._replace(
        schedule_id=new_id(now_ms), created_at_ms=now_ms, next_day=first.isoformat(),
        due_ms=_due_ms(draft.every, first, zone), last_export_id="", last_after="",
    )  # fmt: skip
    tx.run(_ADD, schedule._asdict())
    return schedule


def page(tx: Tx, workspace_id: str) -> list[Schedule]:
    """Every schedule of a workspace, the newest first."""
    rows = tx.all(
        f"select {_COLUMNS} from export_schedules where workspace_id = :workspace_id order by schedule_id desc",
        {"workspace_id": workspace_id},
    )
    return [Schedule._make(row) for row in rows]


def remove(tx: Tx, workspace_id: str, schedule_id: str) -> None:
    """Stop a schedule; what it laid into the folder stays. Raises Refused(schedule_not_found)."""
    row = tx.one(
        "delete from export_schedules where workspace_id = :workspace_id and schedule_id = :schedule_id "
        "returning schedule_id",
        {"workspace_id": workspace_id, "schedule_id": schedule_id},
    )
    if row is None:
        raise Refused("schedule_not_found")


def due(tx: Tx, now_ms: int) -> list[Schedule]:
    """The schedules whose next period is over, but for those whose run before has not come to its end."""
    rows = tx.all(
        f"select {_COLUMNS} from export_schedules where due_ms <= :now_ms and not exists (select 1 from exports "
        "where exports.export_id = export_schedules.last_export_id and exports.status in ('queued', 'running')) "
        "order by due_ms limit 100",
        {"now_ms": now_ms},
    )
    return [Schedule._make(row) for row in rows]


def run(tx: Tx, schedule: Schedule, now_ms: int) -> Export | None:
    """Ask for the next period's export and move on; None when somebody else did, or it cannot be asked for now."""
    zone = zone_of(tx, schedule.workspace_id)
    first = date.fromisoformat(schedule.next_day)
    end = _after(schedule.every, first)
    moved: Params = {
        "schedule_id": schedule.schedule_id,
        "before": schedule.next_day,
        "next_day": end.isoformat(),
        "due_ms": _due_ms(schedule.every, end, zone),
    }
    taken = tx.one(
        "update export_schedules set next_day = :next_day, due_ms = :due_ms "
        "where schedule_id = :schedule_id and next_day = :before returning schedule_id",
        moved,
    )
    if taken is None:
        return None
    try:
        plan = exports.require_surface(tx, schedule.workspace_id)
        asked = _asked(schedule, first, end, zone, retention.shown_from_ms(plan, now_ms), now_ms)
        export = exports.add(
            tx, schedule.workspace_id, schedule.subject, schedule.format, asked, f"schedule:{schedule.schedule_id}",
            now_ms, readable=False,
        )  # fmt: skip
    except Refused:
        # The surface is closed, or too many wait: the same period once more, later.
        tx.run(
            "update export_schedules set next_day = :before, due_ms = :again_ms where schedule_id = :schedule_id",
            {"schedule_id": schedule.schedule_id, "before": schedule.next_day, "again_ms": now_ms + _AGAIN_MS},
        )
        return None
    tx.run(
        "update export_schedules set last_export_id = :export_id where schedule_id = :schedule_id",
        {"schedule_id": schedule.schedule_id, "export_id": export.export_id},
    )
    return export


def note_cursor(tx: Tx, export: Export, next_after: str) -> None:
    """Remember how far a run was, for the one after it; in the transaction that presents it."""
    tx.run(
        "update export_schedules set last_after = :next_after where last_export_id = :export_id",
        {"export_id": export.export_id, "next_after": next_after},
    )


def zone_of(tx: Tx, workspace_id: str) -> ZoneInfo:
    """The time zone of a workspace."""
    workspace = workspaces.find(tx, workspace_id)
    return ZoneInfo(workspace.timezone if workspace else "UTC")


def first_day(every: Every, day: date) -> date:
    """The first day of the period that a day is in: a week begins on Monday."""
    if every == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if every == "month" else day


def _after(every: Every, first: date) -> date:
    """The first day of the period after the one that begins on this day."""
    if every == "month":
        return (first + timedelta(days=31)).replace(day=1)
    return first + timedelta(days=7 if every == "week" else 1)


def _due_ms(every: Every, first: date, zone: ZoneInfo) -> int:
    return _midnight_ms(_after(every, first), zone) + SETTLING_MS


def _midnight_ms(day: date, zone: ZoneInfo) -> int:
    return int(datetime.combine(day, time(), zone).timestamp()) * 1000


def _asked(
    schedule: Schedule, first: date, end: date, zone: ZoneInfo, shown_from_ms: int, now_ms: int
) -> Mapping[str, Any]:
    """What the schedule asks for, over one period."""
    asked: dict[str, Any] = json.loads(schedule.asked)
    from_ms, to_ms = _midnight_ms(first, zone), _midnight_ms(end, zone)
    last = (end - timedelta(days=1)).isoformat()
    asked["told"] |= {"from": first.isoformat(), "to": last, "timezone": str(zone)}
    asked["deliver"] = {"folder": schedule.folder, "name": f"{schedule.subject}-{first.isoformat()}_{last}"}
    after = json.loads(schedule.last_after) if schedule.since_last and schedule.last_after else {}
    if schedule.subject == "links":
        return {**asked, "after": after}
    if schedule.subject == "report":
        report = asked["report"]
        report["question"] |= {
            "from_ms": from_ms, "to_ms": to_ms, "timezone": str(zone), "now_ms": now_ms, "shown_from_ms": shown_from_ms,
        }  # fmt: skip
        report["hidden"] = from_ms < shown_from_ms
        report["first_day"] = retention.first_day_shown(shown_from_ms, zone)
        return asked
    if schedule.since_last:
        # What came late is of another day.
        from_ms, to_ms = 0, _END_MS
    if schedule.subject == "clicks":
        asked["clicks"] |= {"from_ms": max(from_ms, shown_from_ms), "to_ms": to_ms, "after": after}
        return asked
    return {**asked, "from_ms": from_ms, "to_ms": to_ms, "after": after}
