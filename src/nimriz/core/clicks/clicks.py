"""Clicks: one append-only row for each redirect that reached a destination. Owns click_rows and click_contexts.

Most of what a click tells it has in common with others: that is a context, written once and named by all of them. Who
reads need not know: the view `clicks` has everything in one row. Each process writes a log of its own
(`clicks-N.db`), so that processes never wait for one another; who reads asks all of them, a bounded page at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Literal, NamedTuple

from nimriz.store.db import Database, Row, Scalar, Tx

LABEL_BYTES_MAX = 255
_INSTANT_MS_MAX = 2**48 - 1

Audience = Literal["all", "no_bots", "people"]
"""Whose clicks count: everybody's, all but bots', or only those that look like a person's in every respect."""
LEFT_OUT: dict[Audience, tuple[str, str]] = {
    "all": ("", ""),
    "no_bots": ("bot", ""),
    "people": ("bot", "suspect"),
}


class Facts(NamedTuple):
    """What a click has in common with the others of its link that are as like: where it led, and what came with it."""

    workspace_id: str
    link_id: str
    domain_id: str
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
    tags: str


class Surroundings(NamedTuple):
    """Where a click came from, and what it was worth when it was made; '' for what is not known.

    `network` is a word of `networks`. `agent_id` is None while the agent is unread.
    """

    country: str = ""
    region: str = ""
    city: str = ""
    language: str = ""
    purpose: str = ""
    network: str = ""
    quality: str = "human"
    reason: str = ""
    agent_id: int | None = None


class Click(NamedTuple):
    """One click's own row; the rest of what it tells is in its context.

    Kept short, since every visitor waits for it: the id as bytes, and the workspace by its number in this log.
    `visitor` is the daily hash.
    """

    seq: int
    click_id: bytes
    workspace_no: int
    clicked_at_ms: int
    visitor: bytes | None
    context_id: int


class Context(NamedTuple):
    """What clicks have in common, kept once. No click that was made on a later day (UTC) than `made_at_ms` names it."""

    context_id: int
    made_at_ms: int
    facts: Facts
    surroundings: Surroundings


AGENT = (
    "left join click_agents on clicks.agent_id is null and click_agents.click_seq = clicks.seq "
    "left join agents on agents.agent_id = coalesce(clicks.agent_id, click_agents.agent_id) "
)
"""SQL: brings the agent to the row of `clicks` that a statement looks at; its columns are null while it is unread."""
OF_WORKSPACE = "workspace_no = (select workspace_no from click_workspaces where workspace_id = :workspace_id)"
"""SQL: whether the row of `clicks` is of the workspace `:workspace_id`."""
_CLICK = ", ".join(Click._fields)
_APPEND = f"insert into click_rows ({_CLICK}) values ({', '.join(':' + f for f in Click._fields)})"
_OF_CONTEXT = ("context_id", "made_at_ms", *Facts._fields, *Surroundings._fields)
_APPEND_CONTEXT = (
    f"insert into click_contexts ({', '.join(_OF_CONTEXT)}) values ({', '.join(':' + f for f in _OF_CONTEXT)})"
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
    row = tx.one("select max(seq) from click_rows")
    return 0 if row is None or row[0] is None else int(row[0])


def newest_context(tx: Tx) -> int:
    """The number of the newest context of a log; 0 when there is none."""
    row = tx.one("select max(context_id) from click_contexts")
    return 0 if row is None or row[0] is None else int(row[0])


def total(tx: Tx) -> int:
    """How many clicks a log holds."""
    row = tx.one("select count(*) from click_rows")
    return 0 if row is None else int(row[0])


def append(tx: Tx, rows: Sequence[tuple[Scalar, ...]]) -> None:
    """Append the clicks of one batch, each the values of a Click; their contexts are there."""
    tx.many(_APPEND, rows)


def append_contexts(tx: Tx, contexts: Iterable[Context]) -> None:
    """Append what clicks of the same transaction are the first to name."""
    tx.many(_APPEND_CONTEXT, [(*context[:2], *context.facts, *context.surroundings) for context in contexts])


def first_id(instant_ms: int) -> bytes:
    """An id before all clicks of this millisecond and after all earlier ones: an id begins with its instant."""
    return (min(max(instant_ms, 0), _INSTANT_MS_MAX) << 80).to_bytes(16, "big")


def count_by_link(logs: Iterable[Database], link_ids: Sequence[str]) -> dict[str, int]:
    """Every click of these links that no bot made; a link without one is left out."""
    counts: dict[str, int] = {}
    for log in logs:
        for link_id, clicks in log.read(partial(_by_link, link_ids=link_ids)):
            counts[link_id] = counts.get(link_id, 0) + clicks
    return counts


def _by_link(tx: Tx, link_ids: Sequence[str]) -> list[Row]:
    return [*tx.each(_COUNT_BY_LINK, link_ids), *tx.each(_CORRECTED_BY_LINK, link_ids)]
