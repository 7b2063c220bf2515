"""What the clicks of one link tell: how many, on which days, from where.

Reads the click logs, a bounded page at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Literal
from zoneinfo import ZoneInfo

from nimriz.core.clicks.clicks import AGENT, LEFT_OUT, PAGE_ROWS, Audience
from nimriz.core.clicks.judgments import STANDING
from nimriz.store.db import Database, Params, Row, Tx

TouchType = Literal["short_link_click", "qr_scan"]
_OF_CLICK = (
    "touch_type", "referrer_host", "placement", "utm_source", "utm_medium", "utm_campaign", "utm_term",
    "utm_content", "destination_host", "token_suppressed", "country", "region", "city", "language",
)  # fmt: skip
_OF_AGENT = ("device", "os", "browser")
BREAKDOWNS = (*_OF_CLICK, *_OF_AGENT)
KEYS_MAX = 100
"""How many keys of a breakdown are told; the rest is added up under null."""

# One value of crawler at a time, so that the index gives the rows in the order of seq.
_CLICKS = (
    f"select seq, {STANDING}, visitor, clicked_at_ms, tracked, {', '.join(_OF_CLICK)}, "
    f"coalesce(device, ''), coalesce(os, ''), coalesce(browser, '') from clicks {AGENT}"
    "where link_id = :link_id and crawler = :crawler and seq > :after_seq "
    "and clicked_at_ms >= :from_ms and clicked_at_ms < :to_ms "
    "and (:touch_type = '' or touch_type = :touch_type) order by seq limit :limit_count"
)


@dataclass(slots=True)
class LinkClicks:
    """The clicks of a link in a period. Days are those of a time zone."""

    clicks: int = 0
    tracked_clicks: int = 0
    bots: int = 0
    suspects: int = 0
    visitors: set[bytes] = field(default_factory=set)
    # Whether a click has no visitor's hash: then nobody can say how many visitors there were.
    hashless: bool = False
    by_day: Counter[str] = field(default_factory=Counter)
    breakdowns: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in BREAKDOWNS})


def summed(
    logs: Iterable[Database],
    link_id: str,
    from_ms: int,
    to_ms: int,
    zone: ZoneInfo,
    touch_type: TouchType | None,
    audience: Audience,
) -> LinkClicks:
    """The clicks made in [from_ms, to_ms); `touch_type` None asks for all."""
    found = LinkClicks()
    for log in logs:
        for crawler in (0, 1):
            params: dict[str, str | int | bytes | None] = {
                "link_id": link_id,
                "crawler": crawler,
                "from_ms": from_ms,
                "to_ms": to_ms,
                "touch_type": touch_type or "",
                "after_seq": 0,
                "limit_count": PAGE_ROWS,
            }
            while rows := log.read(partial(_page, params=dict(params))):
                found.bots += sum(row[1] == "bot" for row in rows)
                found.suspects += sum(row[1] == "suspect" for row in rows)
                _add(found, [row for row in rows if row[1] not in LEFT_OUT[audience]], zone)
                params["after_seq"] = rows[-1][0]
    return found


def _page(tx: Tx, params: Params) -> list[Row]:
    return tx.all(_CLICKS, params)


def _add(found: LinkClicks, rows: list[Row], zone: ZoneInfo) -> None:
    found.clicks += len(rows)
    found.tracked_clicks += sum(row[4] for row in rows)
    found.hashless |= any(row[2] is None for row in rows)
    found.visitors |= {row[2] for row in rows if row[2] is not None}
    found.by_day.update(datetime.fromtimestamp(row[3] // 1000, zone).date().isoformat() for row in rows)
    for place, name in enumerate(BREAKDOWNS, 5):
        found.breakdowns[name].update(row[place] for row in rows)


def top(counted: Counter[str]) -> list[tuple[str | None, int]]:
    """The keys with the most clicks, '' left out, equal ones by name; what is beyond them under None."""
    keys = sorted((key for key in counted if key), key=lambda key: (-counted[key], key))
    told: list[tuple[str | None, int]] = [(key, counted[key]) for key in keys[:KEYS_MAX]]
    rest = sum(counted[key] for key in keys[KEYS_MAX:])
    return [*told, (None, rest)] if rest else told
