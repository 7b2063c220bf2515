"""Clicks: one append-only row for each redirect that reached a destination. Owns the table clicks.

Each process writes a log of its own (`clicks-N.db`), so that processes never wait for one another; who
reads asks all of them, a bounded page at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Literal, NamedTuple

from nimriz.base import ids
from nimriz.base.clock import DAY_MS
from nimriz.core.judgments import STANDING
from nimriz.store.db import Database, Params, Row, Scalar, Tx

LABEL_BYTES_MAX = 255
PAGE_ROWS = 50_000
QUARTER_MS = 900_000
_INSTANT_MS_MAX = 2**48 - 1

Audience = Literal["all", "no_bots", "people"]
"""Whose clicks count: everybody's, all but bots', or only those that look like a person's in every respect."""
LEFT_OUT: dict[Audience, tuple[str, str]] = {
    "all": ("", ""),
    "no_bots": ("bot", ""),
    "people": ("bot", "suspect"),
}


class Click(NamedTuple):
    """The facts of one click, decided when it happened."""

    click_id: str
    workspace_id: str
    link_id: str
    domain_id: str
    clicked_at_ms: int
    decision: int
    tracked: int
    token_suppressed: str
    crawler: int
    destination_host: str
    touch_type: str
    placement: str
    referrer_host: str
    utm_source: str
    utm_medium: str
    utm_campaign: str
    utm_term: str
    utm_content: str


class Context(NamedTuple):
    """What is told of a click's surroundings; '' for what is not known. `tags` is JSON, `visitor` the daily hash.

    `quality` and `reason` are what it was worth when it was made.
    """

    tags: str = "[]"
    country: str = ""
    region: str = ""
    city: str = ""
    language: str = ""
    purpose: str = ""
    visitor: bytes | None = None
    quality: str = "human"
    reason: str = ""


class ClickCount(NamedTuple):
    """Clicks of one link in one quarter of an hour (which no time zone splits)."""

    link_id: str
    quarter_ms: int
    clicks: int
    tracked_clicks: int


class Counted(NamedTuple):
    """Clicks, in parts that are to be added up, and how many visitors made them.

    `unique` has them by the key of a row, and under None for the whole: a visitor of several rows is one there. It is
    None where a click has no visitor's hash: then nobody can say.
    """

    counts: list[ClickCount]
    unique: dict[str | None, int | None]


RowOf = Callable[[str, int], str | None]
"""The key of the row in which a link's clicks of a quarter count; None when they count in no row."""
ClickRow = tuple[Scalar, ...]
"""The number of a click in its log, its facts, its context."""
_COLUMNS = ", ".join(("seq", *Click._fields, *Context._fields))
_APPEND = f"insert into clicks ({_COLUMNS}) values ({', '.join(':' + f for f in _COLUMNS.split(', '))})"
_OF_DAY = (
    "select click_id, link_id, clicked_at_ms / :quarter_ms * :quarter_ms as quarter_ms, tracked, visitor from clicks "
    "where workspace_id = :workspace_id and click_id > :after_id and click_id < :before_id "
    "and (:link_id = '' or link_id = :link_id) "
    f"and {STANDING} not in (:left_out, :left_out_too) order by click_id limit :limit_count"
)
_COUNT = (
    "select link_id, quarter_ms, visitor, count(*), sum(tracked), max(click_id) "
    f"from ({_OF_DAY}) as of_day group by link_id, quarter_ms, visitor"
)
_NEXT = (
    "select click_id from clicks where workspace_id = :workspace_id "
    "and click_id > :after_id and click_id < :before_id order by click_id limit 1"
)
_COUNT_BY_LINK = "select link_id, count(*) from clicks where link_id in (:keys) and quality <> 'bot' group by link_id"
# Those of which something else was thought later are far fewer: counted apart, and taken away or added.
_CORRECTED_BY_LINK = (
    "select j.link_id, sum(case when j.quality = 'bot' then 0 else 1 end - case when clicks.quality = 'bot' then 0 "
    "else 1 end) from click_judgments as j join clicks on clicks.seq = j.click_seq where j.link_id in (:keys) "
    "and not exists (select 1 from click_judgments as k where k.click_seq = j.click_seq and k.seq > j.seq) "
    "group by j.link_id"
)


def newest(tx: Tx) -> int:
    """The number of the newest click of a log; 0 when there is none."""
    row = tx.one("select max(seq) from clicks")
    return 0 if row is None or row[0] is None else int(row[0])


def total(tx: Tx) -> int:
    """How many clicks a log holds."""
    row = tx.one("select count(*) from clicks")
    return 0 if row is None else int(row[0])


def append(tx: Tx, rows: Sequence[ClickRow]) -> None:
    """Append the rows of one batch."""
    tx.many(_APPEND, rows)


def first_id(instant_ms: int) -> str:
    """An id before all clicks of this millisecond and after all earlier ones: an id begins with its instant."""
    return ids.to_text((min(max(instant_ms, 0), _INSTANT_MS_MAX) << 80).to_bytes(16, "big"))


def count(
    logs: Sequence[Database],
    workspace_id: str,
    from_ms: int,
    to_ms: int,
    audience: Audience,
    row_of: RowOf,
    link_id: str = "",
) -> Counted:
    """Clicks of a workspace made in [from_ms, to_ms), over all logs; `link_id` '' asks for every link's.

    Day by day (UTC), because a visitor's hash is of one day: no more of them than one day's are in memory.
    """
    counted = Counted([], {})
    left_out, left_out_too = LEFT_OUT[audience]
    params: dict[str, Scalar] = {
        "workspace_id": workspace_id,
        "link_id": link_id,
        "left_out": left_out,
        "left_out_too": left_out_too,
        "quarter_ms": QUARTER_MS,
        "limit_count": PAGE_ROWS,
        "after_id": first_id(from_ms),
        "before_id": first_id(to_ms),
    }
    while (day := _next_day(logs, params)) is not None:
        before_id = min(first_id((day + 1) * DAY_MS), first_id(to_ms))
        _count_day(logs, {**params, "before_id": before_id}, row_of, counted)
        params["after_id"] = before_id
    return counted


def _next_day(logs: Sequence[Database], params: Params) -> int | None:
    """The next day with a click in any log."""
    found = [row[0] for log in logs if (row := log.read(partial(_next, params=params))) is not None]
    return int.from_bytes(ids.to_bytes(min(found))[:6], "big") // DAY_MS if found else None


def _next(tx: Tx, params: Params) -> Row | None:
    return tx.one(_NEXT, params)


def _count_day(logs: Sequence[Database], params: Params, row_of: RowOf, counted: Counted) -> None:
    by_quarter: dict[tuple[str, int], tuple[int, int]] = {}
    visitors: dict[str | None, set[bytes]] = {None: set()}
    unknown: set[str | None] = set()
    for log in logs:
        for link_id, quarter_ms, visitor, clicks, tracked in _pages(log, params):
            before = by_quarter.get((link_id, quarter_ms), (0, 0))
            by_quarter[link_id, quarter_ms] = (before[0] + clicks, before[1] + tracked)
            for key in {None, row_of(link_id, quarter_ms)}:
                if visitor is None:
                    unknown.add(key)
                visitors.setdefault(key, set()).add(visitor)
    counted.counts.extend(ClickCount(*key, *clicks) for key, clicks in by_quarter.items())
    for key, hashes in visitors.items():
        sofar = counted.unique.get(key, 0)
        counted.unique[key] = None if sofar is None or key in unknown else sofar + len(hashes)


def _pages(log: Database, params: Params) -> Iterator[Row]:
    """Clicks of one log by link, quarter and visitor, a bounded page of clicks at a time."""
    after_id = params["after_id"]
    while rows := log.read(partial(_count_page, params={**params, "after_id": after_id})):
        yield from (row[:5] for row in rows)
        if sum(row[3] for row in rows) < PAGE_ROWS:
            return
        after_id = max(row[5] for row in rows)


def _count_page(tx: Tx, params: Params) -> list[Row]:
    return tx.all(_COUNT, params)


def count_by_link(logs: Iterable[Database], link_ids: Sequence[str]) -> dict[str, int]:
    """Every click of these links that no bot made; a link without one is left out."""
    counts: dict[str, int] = {}
    for log in logs:
        for link_id, clicks in log.read(partial(_by_link, link_ids=link_ids)):
            counts[link_id] = counts.get(link_id, 0) + clicks
    return counts


def _by_link(tx: Tx, link_ids: Sequence[str]) -> list[Row]:
    return [*tx.each(_COUNT_BY_LINK, link_ids), *tx.each(_CORRECTED_BY_LINK, link_ids)]
