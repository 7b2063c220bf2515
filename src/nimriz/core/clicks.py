"""Clicks: one append-only row for each redirect that reached a destination. Owns the table clicks.

Each process writes a log of its own (`clicks-N.db`), so that processes never wait for one another; who
reads asks all of them, a bounded page at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple

from nimriz.store.db import Database, Params, Tx

LABEL_BYTES_MAX = 255
PAGE_ROWS = 50_000


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


class ClickCount(NamedTuple):
    """Clicks of one link in one quarter of an hour (which no time zone splits)."""

    link_id: str
    quarter_ms: int
    clicks: int
    tracked_clicks: int


QUARTER_MS = 900_000
_COLUMNS = ", ".join(Click._fields)
_APPEND = f"insert into clicks ({_COLUMNS}) values ({', '.join(':' + f for f in Click._fields)})"
_COUNT = (
    "select link_id, clicked_at_ms / :quarter_ms * :quarter_ms as quarter_ms, count(*), sum(tracked) from clicks "
    "where seq > :after_seq and seq <= :upto_seq and workspace_id = :workspace_id "
    "and clicked_at_ms >= :from_ms and clicked_at_ms < :to_ms and crawler <= :crawler_max "
    "group by link_id, quarter_ms"
)

_COUNT_BY_LINK = "select link_id, count(*) from clicks where link_id in (:keys) and crawler = 0 group by link_id"


def append(tx: Tx, clicks: Sequence[Click]) -> None:
    """Append the rows of one batch."""
    tx.many(_APPEND, clicks)


def count(
    logs: Iterable[Database], workspace_id: str, from_ms: int, to_ms: int, *, include_crawlers: bool
) -> list[ClickCount]:
    """Clicks of a workspace made in [from_ms, to_ms), over all logs, in parts that are to be added up."""
    counts: list[ClickCount] = []
    for log in logs:
        row = log.read(lambda tx: tx.one("select max(seq) from clicks"))
        newest = 0 if row is None or row[0] is None else int(row[0])
        for after_seq in range(0, newest, PAGE_ROWS):
            params: Params = {
                "workspace_id": workspace_id,
                "from_ms": from_ms,
                "to_ms": to_ms,
                "crawler_max": int(include_crawlers),
                "quarter_ms": QUARTER_MS,
                "after_seq": after_seq,
                "upto_seq": min(after_seq + PAGE_ROWS, newest),
            }
            counts += log.read(partial(_count_page, params=params))
    return counts


def _count_page(tx: Tx, params: Params) -> list[ClickCount]:
    return [ClickCount._make(row) for row in tx.all(_COUNT, params)]


def count_by_link(logs: Iterable[Database], link_ids: Sequence[str]) -> dict[str, int]:
    """Every click of these links that a person may have made; a link without one is left out."""
    counts: dict[str, int] = {}
    for log in logs:
        for link_id, clicks in log.read(lambda tx: tx.each(_COUNT_BY_LINK, link_ids)):
            counts[link_id] = counts.get(link_id, 0) + clicks
    return counts
