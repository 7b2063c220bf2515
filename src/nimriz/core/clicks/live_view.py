"""The live view: what the clicks of the last half hour tell. Reads the newest part of each click log, and no more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial

from nimriz.core.clicks.clicks import LEFT_OUT, OF_WORKSPACE, Audience, first_id
from nimriz.core.clicks.judgments import STANDING
from nimriz.store.db import Database, Params, Row, Tx

MINUTE_MS = 60_000
MINUTES = 30
VISITOR_MINUTES = 5
CLICKS_MAX = 50_000
"""So many of the newest clicks of a log are looked at."""
_NEWEST = (
    f"select clicked_at_ms, link_id, country, visitor, {STANDING} from clicks "
    f"where {OF_WORKSPACE} and click_id >= :from_id order by click_id desc limit :limit_count"
)


@dataclass(slots=True)
class LiveView:
    """The clicks of the last 30 minutes, the one that runs included, by minute, link and country.

    `visitors` are the hashes of the last five minutes. Minutes before `known_from_ms` are not wholly known.
    """

    known_from_ms: int
    by_minute: Counter[int] = field(default_factory=Counter)
    by_link: Counter[str] = field(default_factory=Counter)
    by_country: Counter[str] = field(default_factory=Counter)
    visitors: set[bytes] = field(default_factory=set)
    # A click without a hash: then nobody can say how many visitors there were.
    hashless: bool = False

    def visitor_count(self, now_ms: int) -> int | None:
        """How many people clicked in the last five minutes; None when nobody can say."""
        unknown = self.hashless or self.known_from_ms > now_ms - VISITOR_MINUTES * MINUTE_MS
        return None if unknown else len(self.visitors)


def look(logs: Iterable[Database], workspace_id: str, audience: Audience, now_ms: int) -> LiveView:
    """What is going on in a workspace."""
    from_ms = minutes(now_ms)[0]
    params: Params = {"workspace_id": workspace_id, "from_id": first_id(from_ms), "limit_count": CLICKS_MAX}
    view = LiveView(from_ms)
    for log in logs:
        rows = log.read(partial(_newest, params=params))
        if len(rows) == CLICKS_MAX:
            view.known_from_ms = max(view.known_from_ms, rows[-1][0] // MINUTE_MS * MINUTE_MS + MINUTE_MS)
        rows = [row for row in rows if row[4] not in LEFT_OUT[audience]]
        view.by_minute.update(row[0] // MINUTE_MS * MINUTE_MS for row in rows)
        view.by_link.update(row[1] for row in rows)
        view.by_country.update(row[2] for row in rows if row[2])
        lately = [row[3] for row in rows if row[0] >= now_ms - VISITOR_MINUTES * MINUTE_MS]
        view.hashless |= None in lately
        view.visitors.update(visitor for visitor in lately if visitor is not None)
    return view


def minutes(now_ms: int) -> list[int]:
    """The beginnings of the minutes that are shown, the oldest first."""
    running = now_ms // MINUTE_MS * MINUTE_MS
    return [running - ago * MINUTE_MS for ago in range(MINUTES - 1, -1, -1)]


def _newest(tx: Tx, params: Params) -> list[Row]:
    return tx.all(_NEWEST, params)
