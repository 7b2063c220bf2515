"""Clicks: one append-only row for each redirect that reached a destination. Owns the table clicks.

Each process writes a log of its own (`clicks-N.db`), so that processes never wait for one another; who
reads asks all of them, a bounded page at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Literal, NamedTuple

from nimriz.base import ids
from nimriz.store.db import Database, Row, Scalar, Tx

LABEL_BYTES_MAX = 255
PAGE_ROWS = 50_000
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

    `network` is a word of `core/networks`. `quality` and `reason` are what it was worth when it was made; `agent_id` is
    None while the agent is unread.
    """

    tags: str = "[]"
    country: str = ""
    region: str = ""
    city: str = ""
    language: str = ""
    purpose: str = ""
    network: str = ""
    visitor: bytes | None = None
    quality: str = "human"
    reason: str = ""
    agent_id: int | None = None


AGENT = (
    "left join click_agents on clicks.agent_id is null and click_agents.click_seq = clicks.seq "
    "left join agents on agents.agent_id = coalesce(clicks.agent_id, click_agents.agent_id) "
)
"""SQL: brings the agent to the row of `clicks` that a statement looks at; its columns are null while it is unread."""
ClickRow = tuple[Scalar, ...]
"""The number of a click in its log, its facts, its context."""
_COLUMNS = ", ".join(("seq", *Click._fields, *Context._fields))
_APPEND = f"insert into clicks ({_COLUMNS}) values ({', '.join(':' + f for f in _COLUMNS.split(', '))})"
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


def count_by_link(logs: Iterable[Database], link_ids: Sequence[str]) -> dict[str, int]:
    """Every click of these links that no bot made; a link without one is left out."""
    counts: dict[str, int] = {}
    for log in logs:
        for link_id, clicks in log.read(partial(_by_link, link_ids=link_ids)):
            counts[link_id] = counts.get(link_id, 0) + clicks
    return counts


def _by_link(tx: Tx, link_ids: Sequence[str]) -> list[Row]:
    return [*tx.each(_COUNT_BY_LINK, link_ids), *tx.each(_CORRECTED_BY_LINK, link_ids)]
