"""Clicks as rows of a file, in the order in which they were committed, and copied straight out of the store."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from nimriz.analytics.rows import Rows
from nimriz.analytics.tables import NO_ID
from nimriz.analytics.tabular import Column, Written, copy_statement

COLUMNS: tuple[Column, ...] = (
    Column("click_id", "id", "c.click_id"),
    Column("clicked_at", "instant", "c.clicked_ms"),
    Column("link_id", "id", "c.link_id"),
    Column("domain_id", "id", f"nullif(c.domain_id, cast('{NO_ID}' as uuid))"),
    Column("decision", "count", "c.decision"),
    Column("variant", "id", "case when d.variant <> '' then cast(c.link_id as varchar) || '/' || d.variant end"),
    Column("rule_id", "id", "nullif(d.rule_id, '')"),
    Column("tracked", "flag", "c.tracked"),
    Column("quality", "id", "c.quality"),
    Column("touch_type", "id", "c.touch_type"),
    *(
        Column(name, "text", f"c.{name}")
        for name in (
            "placement", "destination_host", "referrer_host", "utm_source", "utm_medium", "utm_campaign", "utm_term",
            "utm_content", "country", "region", "city", "language", "device", "os", "browser",
        )
    ),
    Column("tags", "json", "c.tags"),
    Column("token_suppressed", "text", "c.token_suppressed"),
)  # fmt: skip


class ClicksAsked(NamedTuple):
    """Which clicks: made in [from_ms, to_ms), after what each log's cursor says; '' asks for all links."""

    workspace_id: str
    from_ms: int
    to_ms: int
    link_id: str
    left_out: list[str]
    after: dict[str, int]


class Copied(NamedTuple):
    """What was copied, and how far each log was: what is committed later has a greater number in its log."""

    rows: int
    cursors: dict[str, int]


def ahead(rows: Rows, asked: ClicksAsked) -> bool:
    """Whether the caller's cursor is further than the logs are: then they are others, from a backup."""
    cursors = _cursors(rows)
    return any(cursors.get(log, 0) < seq for log, seq in asked.after.items())


def count(rows: Rows, asked: ClicksAsked) -> int:
    """How many clicks are asked for."""
    where, params = _where(asked)
    return int(rows.all(f"select count(*) from clicks as c where {where}", params)[0][0])


def copy(rows: Rows, asked: ClicksAsked, path: Path, written: Written) -> Copied:
    """Write them to a file. Raises duckdb.Error."""
    where, params = _where(asked)
    source = (
        "clicks as c left join decisions as d on d.link_id = c.link_id and d.decision = c.decision "
        f"where {where}"
    )  # fmt: skip
    found = rows.all(copy_statement(COLUMNS, source, path, written), params)
    return Copied(int(found[0][0]), _cursors(rows))


def _cursors(rows: Rows) -> dict[str, int]:
    found = rows.all("select name, value from cursors where name like 'clicks %'")
    return {str(name).removeprefix("clicks "): int(value) for name, value in found}


def _where(asked: ClicksAsked) -> tuple[str, dict[str, Any]]:
    params: dict[str, Any] = {
        "workspace_id": asked.workspace_id,
        "from_ms": asked.from_ms,
        "to_ms": asked.to_ms,
        **{f"left_out_{n}": quality for n, quality in enumerate(asked.left_out)},
    }
    told = ["c.workspace_id = cast(:workspace_id as uuid)", "c.clicked_ms >= :from_ms and c.clicked_ms < :to_ms"]
    if asked.link_id:
        told.append("c.link_id = cast(:link_id as uuid)")
        params["link_id"] = asked.link_id
    if asked.left_out:
        told.append(f"c.quality not in ({', '.join(f':left_out_{n}' for n in range(len(asked.left_out)))})")
    for n, (log, seq) in enumerate(sorted(asked.after.items())):
        told.append(f"(c.log <> :log_{n} or c.seq > :seq_{n})")
        params |= {f"log_{n}": int(log), f"seq_{n}": seq}
    return " and ".join(told), params
