"""Clicks one by one, each with everything that is told of it. Reads the click logs; the visitor's hash stays there.

A click's id begins with its millisecond, so ids order the clicks of all logs, and a page is asked for by id. How much
one question reads is bounded: a page may end early, and then says from where to go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

from nimriz.base.ids import to_bytes, to_text
from nimriz.core.clicks.clicks import AGENT, LEFT_OUT, OF_WORKSPACE, Audience, first_id
from nimriz.core.clicks.judgments import REASON, STANDING
from nimriz.store.db import Database, Params, Row, Tx

SCANNED_MAX = 50_000
"""So many clicks of a log are looked at for one page."""
FEW_MAX = 2_000
"""The clicks of a link are picked out when they are no more than these in a log, and else looked for among all."""
PLANTED_CUSTOMERS = 3
"""A click that is tied to so many customers was not one visitor's: its token was planted or shared."""


class Listed(NamedTuple):
    """One click as it is told; '' for what is not known. `agent` is what made it, '' while that is unread."""

    seq: int
    workspace_id: str
    click_id: str
    clicked_at_ms: int
    link_id: str
    domain_id: str
    decision: int
    destination_host: str
    tracked: int
    token_suppressed: str
    touch_type: str
    placement: str
    referrer_host: str
    utm_source: str
    utm_medium: str
    utm_campaign: str
    utm_term: str
    utm_content: str
    tags: str
    country: str
    region: str
    city: str
    language: str
    agent: str
    device: str
    os: str
    browser: str
    quality: str
    reason: str
    converted: int


class Asked(NamedTuple):
    """Which clicks are asked for: made in [from_ms, to_ms), of all links where `link_id` is '', before `before_id`."""

    workspace_id: str
    from_ms: int
    to_ms: int
    link_id: str = ""
    before_id: str = ""
    audience: Audience = "all"


class Page(NamedTuple):
    """Clicks, newest first, and the id before which to go on; '' when there is nothing more."""

    clicks: list[Listed]
    before_id: str


_BY_AGENT = ("device", "os", "browser")
_SQL: dict[str, str] = {
    "agent": "coalesce(agents.kind, '')",
    **{name: f"coalesce(agents.{name}, '')" for name in _BY_AGENT},
    "quality": STANDING,
    "reason": REASON,
    "converted": (
        "exists (select 1 from click_judgments as j where j.click_seq = clicks.seq and j.reason = 'converted')"
    ),
}
_TOLD = f"select {', '.join(_SQL.get(name, f'clicks.{name}') for name in Listed._fields)} from clicks {AGENT}"
_BETWEEN = f"clicks.{OF_WORKSPACE} and clicks.click_id >= :from_id and clicks.click_id < :before_id "
_PAGE = (
    f"{_TOLD} where {_BETWEEN} and (:link_id = '' or clicks.link_id = :link_id) "
    f"and {STANDING} not in (:left_out, :left_out_too) order by clicks.click_id desc limit :limit_count"
)
_OF_LINK = "select seq from clicks where link_id = :link_id limit :few_max + 1"
_THESE = f"{_TOLD} where clicks.seq in (:keys)"
_BY_ID = f"{_TOLD} where clicks.{OF_WORKSPACE} and clicks.click_id in (:keys)"
_SCANNED_TO = f"select click_id from clicks where {_BETWEEN} order by click_id desc limit 1 offset :scanned_max"
_LANDED = f"{_TOLD} where clicks.seq > :after_seq order by clicks.seq limit :limit_count"
_CUSTOMERS = (
    "select click_id, count(distinct person_id) from ties "
    "where workspace_id = :workspace_id and click_id in (:keys) group by click_id"
)


def page(logs: Iterable[Database], asked: Asked, limit: int) -> Page:
    """At most `limit` clicks of all logs, newest first. It may hold fewer and still not be the last one."""
    before_id = first_id(asked.to_ms)
    left_out, left_out_too = LEFT_OUT[asked.audience]
    params: dict[str, Any] = {
        "workspace_id": asked.workspace_id,
        "from_id": first_id(asked.from_ms),
        "before_id": min(before_id, to_bytes(asked.before_id)) if asked.before_id else before_id,
        "link_id": asked.link_id,
        "left_out": left_out,
        "left_out_too": left_out_too,
        "limit_count": limit + 1,
        "few_max": FEW_MAX,
        "scanned_max": SCANNED_MAX - 1,
    }
    found: list[Listed] = []
    known_from_id = ""
    for log in logs:
        some, read_to_id = log.read(partial(_of_log, params=params))
        found += some
        known_from_id = max(known_from_id, read_to_id)
    # What one log has not been asked for yet may stand between the older clicks of the others.
    found = sorted((click for click in found if click.click_id >= known_from_id), key=_id_of, reverse=True)
    if len(found) > limit:
        return Page(found[:limit], found[limit - 1].click_id)
    return Page(found, known_from_id)


def _of_log(tx: Tx, params: dict[str, Any]) -> tuple[list[Listed], str]:
    """Clicks of one log, and down to which id it was read; '' for all of it."""
    if params["link_id"]:
        of_link = tx.all(_OF_LINK, params)
        if len(of_link) <= FEW_MAX:
            return _asked(_listed(tx.each(_THESE, [row[0] for row in of_link])), params), ""
    scanned_to = tx.one(_SCANNED_TO, params)
    if scanned_to is None:
        return _listed(tx.all(_PAGE, params)), ""
    return _listed(tx.all(_PAGE, {**params, "from_id": scanned_to[0]})), to_text(scanned_to[0])


def _asked(found: list[Listed], params: dict[str, Any]) -> list[Listed]:
    """Those of a few clicks that are asked for: so few that no index need choose among them."""
    return [
        click
        for click in found
        if click.workspace_id == params["workspace_id"]
        and params["from_id"] <= to_bytes(click.click_id) < params["before_id"]
        and click.quality not in (params["left_out"], params["left_out_too"])
    ]


def find_many(logs: Iterable[Database], workspace_id: str, click_ids: Sequence[str]) -> dict[str, Listed]:
    """Clicks of a workspace by their ids; those that are forgotten are left out."""
    found: dict[str, Listed] = {}
    keys = [to_bytes(click_id) for click_id in click_ids]
    for log in logs:
        rows = log.read(lambda tx: tx.each(_BY_ID, keys, {"workspace_id": workspace_id}))
        found |= {click.click_id: click for click in _listed(rows)}
    return found


def landed(tx: Tx, after_seq: int, limit: int) -> list[Listed]:
    """Clicks of every workspace, in the order in which they came into this log, after the number `after_seq`."""
    params: Params = {"after_seq": after_seq, "limit_count": limit}
    return _listed(tx.all(_LANDED, params))


def customers(tx: Tx, workspace_id: str, click_ids: Sequence[str]) -> dict[str, int]:
    """How many customers of the live ledger are tied to these clicks; a click without one is left out."""
    return {row[0]: row[1] for row in tx.each(_CUSTOMERS, click_ids, {"workspace_id": workspace_id})}


def _listed(rows: list[Row]) -> list[Listed]:
    return [Listed(seq, workspace_id, to_text(click_id), *told) for seq, workspace_id, click_id, *told in rows]


def _id_of(click: Listed) -> str:
    return click.click_id
