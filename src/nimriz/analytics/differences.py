"""Differences: which events explain that a report tells something else than before.

A report adds lines up. Those that stood at one moment and not at another, and the other way round, are the whole
difference between its two answers.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from nimriz.analytics.lines import LINES_AS_OF
from nimriz.analytics.rows import Rows
from nimriz.core.directory.mode import Mode


class Between(NamedTuple):
    """What changed from one moment to another, event by event, after `after_id`; at most `limit` events."""

    workspace_id: str
    mode: Mode
    since_ms: int
    until_ms: int
    after_id: str
    limit: int


_COLUMNS = (
    "event_id", "sale_event_id", "event_name", "event_ms", "status", "reason", "link_id", "decision", "click_id",
    "clicked_ms", "counted", "currency", "gross_minor", "taken_minor",
)  # fmt: skip
_COLUMN_LIST = ", ".join(_COLUMNS)
_TABLES = re.compile(r"\b(known|standing|moved|lines|newest)\b")
_BEFORE = _TABLES.sub(r"\1_before", LINES_AS_OF).replace(":as_of_ms", ":since_ms")
_DIFFERING = (
    f"{LINES_AS_OF}, {_BEFORE.removeprefix('with ')}, "
    f"stood as (select {_COLUMN_LIST} from lines), stood_before as (select {_COLUMN_LIST} from lines_before), "
    "differing as ("
    "select 'added' as side, a.* from (select * from stood except distinct select * from stood_before) as a "
    "union all select 'removed', b.* from (select * from stood_before except distinct select * from stood) as b), "
    "named as (select distinct event_id from differing where event_id > :after_id "
    "order by event_id limit :limit_count) "
    f"select side, d.decision_name, {', '.join('x.' + name for name in _COLUMNS)} from differing as x "
    "join named on named.event_id = x.event_id left join (select link_id, decision, variant as decision_name "
    "from decisions) as d on d.link_id = x.link_id and d.decision = x.decision "
    "order by x.event_id, side, x.sale_event_id, x.counted"
)


def between(rows: Rows, asked: Between) -> dict[str, Any]:
    """`changes`: [event id, name, event time in ms, lines removed, lines added]; `more` says that there are others."""
    found = rows.all(
        _DIFFERING,
        {
            "workspace_id": asked.workspace_id,
            "mode": asked.mode,
            "since_ms": asked.since_ms,
            "as_of_ms": asked.until_ms,
            "after_id": asked.after_id,
            "limit_count": asked.limit + 1,
        },
    )
    changes: dict[str, dict[str, Any]] = {}
    for side, variant, *values in found:
        line = dict(zip(_COLUMNS, values, strict=True))
        change = changes.setdefault(
            line["event_id"],
            {"event_id": line["event_id"], "event_name": line["event_name"], "event_ms": line["event_ms"],
             "removed": [], "added": []},
        )  # fmt: skip
        change[side].append(_plain(line, variant))
    told = list(changes.values())
    return {"changes": told[: asked.limit], "more": len(told) > asked.limit}


def _plain(line: dict[str, Any], variant: str | None) -> dict[str, Any]:
    attributed = line["status"] == "attributed"
    return {
        "counted_as": line["counted"],
        "sale_event_id": line["sale_event_id"],
        "status": line["status"],
        "reason": line["reason"],
        "link_id": str(line["link_id"]) if attributed else "",
        "variant": variant or "",
        "click_id": str(line["click_id"]) if attributed else "",
        "clicked_ms": line["clicked_ms"],
        "currency": line["currency"],
        "gross_minor": int(line["gross_minor"]),
        "taken_back_minor": int(line["taken_minor"]),
    }
