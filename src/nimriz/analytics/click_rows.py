"""Clicks as rows of a file, in the order in which they were committed, and copied straight out of the store.

They are copied piece by piece, so that whoever was interrupted goes on: a piece is named by numbers of the click logs,
which the store keeps even when it is made anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nimriz.analytics.rows import Rows
from nimriz.analytics.tables import NO_ID
from nimriz.analytics.tabular import Column, Written, copy_statement

COLUMNS: tuple[Column, ...] = (
    Column("click_id", "id", "c.click_id"),
    Column("clicked_at", "instant", "c.clicked_ms"),
    Column("link_id", "id", "c.link_id"),
    Column("domain_id", "id", f"nullif(c.domain_id, cast('{NO_ID}' as UUID))"),
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


class Range(NamedTuple):
    """Clicks of one log, the first and the last that are meant."""

    log: int
    first_seq: int
    last_seq: int


class Piece(NamedTuple):
    """What is copied at a time, and how many rows that was when it was planned."""

    ranges: list[Range]
    rows: int


PIECE_ROWS = 1_000_000
"""About so many rows are copied at a time: what an interruption costs at most."""
_BLOCK_SEQS = 65_536


def plan(rows: Rows, asked: ClicksAsked) -> dict[str, Any]:
    """The pieces that hold every click that is asked for and is there now, and how far each log is now.

    What is committed later has a greater number in its log, and is in no piece. `ahead`: the caller's cursor is further
    than the logs are, so they are others, from a backup.
    """
    cursors = _cursors(rows)
    if any(cursors.get(log, 0) < seq for log, seq in asked.after.items()):
        return {"ahead": True}
    where, params = _where(asked)
    blocks = rows.all(
        f"select c.log, min(c.seq), max(c.seq), count(*) from clicks as c where {where} "
        f"group by c.log, c.seq // {_BLOCK_SEQS} order by c.log, min(c.seq)",
        params,
    )
    return {"ahead": False, "cursors": cursors, "pieces": _pieces(blocks)}


def _pieces(blocks: Iterable[Sequence[int]]) -> list[Piece]:
    """Neighbouring blocks put together; one piece without a row where there is none."""
    pieces: list[Piece] = [Piece([], 0)]
    for log, first_seq, last_seq, count in blocks:
        if pieces[-1].rows >= PIECE_ROWS:
            pieces.append(Piece([], 0))
        ranges, before = pieces[-1]
        if ranges and ranges[-1].log == log:
            ranges[-1] = ranges[-1]._replace(last_seq=last_seq)
        else:
            ranges.append(Range(log, first_seq, last_seq))
        pieces[-1] = Piece(ranges, before + count)
    return pieces


def copy(rows: Rows, asked: ClicksAsked, ranges: Sequence[Range], path: Path, written: Written) -> int:
    """Write the clicks of these ranges to a file; how many they were. Raises duckdb.Error."""
    where, params = _where(asked)
    within, bounds = _within(ranges)
    source = (
        "clicks as c left join decisions as d on d.link_id = c.link_id and d.decision = c.decision "
        f"where {where} and {within}"
    )
    return int(rows.all(copy_statement(COLUMNS, source, path, written), {**params, **bounds})[0][0])


def _within(ranges: Sequence[Range]) -> tuple[str, dict[str, int]]:
    """SQL: whether a click is in one of the ranges; bounds of all of them first, which spare most of the reading."""
    if not ranges:
        return "false", {}
    told, params = [], {"least_seq": min(r.first_seq for r in ranges), "most_seq": max(r.last_seq for r in ranges)}
    for n, (log, first_seq, last_seq) in enumerate(ranges):
        told.append(f"(c.log = :of_{n} and c.seq >= :first_{n} and c.seq <= :last_{n})")
        params |= {f"of_{n}": log, f"first_{n}": first_seq, f"last_{n}": last_seq}
    return f"c.seq >= :least_seq and c.seq <= :most_seq and ({' or '.join(told)})", params


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
    told = ["c.workspace_id = cast(:workspace_id as UUID)", "c.clicked_ms >= :from_ms and c.clicked_ms < :to_ms"]
    if asked.link_id:
        told.append("c.link_id = cast(:link_id as UUID)")
        params["link_id"] = asked.link_id
    if asked.left_out:
        told.append(f"c.quality not in ({', '.join(f':left_out_{n}' for n in range(len(asked.left_out)))})")
    for n, (log, seq) in enumerate(sorted(asked.after.items())):
        told.append(f"(c.log <> :log_{n} or c.seq > :seq_{n})")
        params |= {f"log_{n}": int(log), f"seq_{n}": seq}
    return " and ".join(told), params
