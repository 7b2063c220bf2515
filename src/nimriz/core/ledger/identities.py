"""Identities: which external ids are tied to which clicks, as it can be read, and which of them mean nobody.

Reads the ties of `attribution` and the persons of `persons`; owns no table. An external id that is tied to many clicks
is hardly one customer: a shop that sends `null` or `guest` gives every sale to whoever clicked last.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from nimriz.core.directory.mode import Mode, by_mode
from nimriz.core.directory.vault import Vault
from nimriz.core.ledger import persons
from nimriz.store.db import Params, Row, Tx

PLACEHOLDERS = (
    "0", "-1", "1", "null", "NULL", "Null", "nil", "None", "none", "undefined", "NaN", "nan", "false", "true", "guest",
    "Guest", "GUEST", "anonymous", "Anonymous", "anon", "unknown", "Unknown", "n/a", "N/A", "na", "test", "user",
    "customer", "default", "-", "_", "?", "[object Object]", "00000000-0000-0000-0000-000000000000",
)  # fmt: skip
PLACEHOLDER_CLICKS_MIN = 2
SHARED_MAX = 100

Why = Literal["placeholder", "many_clicks"]
Cursor = tuple[int, str, int]
"""Click time, click id and number of the last tie of a page."""


class Tie(NamedTuple):
    """A click that an external id is tied to. `external_id` is None when it was erased.

    The tie holds for events from `from_ms` on; `event_id` is the event that made it, at `tied_at_ms`.
    """

    seq: int
    person_id: str
    click_id: str
    link_id: str
    decision: int
    clicked_at_ms: int
    window_days: int
    from_ms: int
    event_id: str
    tied_at_ms: int
    external_id: str | None = None


class Shared(NamedTuple):
    """An external id that ties more clicks than one customer makes."""

    external_id: str | None
    clicks_count: int
    first_tied_at_ms: int
    last_tied_at_ms: int
    why: Why


_TIE = ", ".join(Tie._fields[:-1])
_AFTER = (
    "(clicked_at_ms < :clicked_at_ms or clicked_at_ms = :clicked_at_ms "
    "and (click_id < :click_id or click_id = :click_id and seq < :seq)) "
    "order by clicked_at_ms desc, click_id desc, seq desc limit :limit_count"
)
_OF_PERSON = by_mode(
    f"select {_TIE} from @ties where person_id = :person_id and workspace_id = :workspace_id and {_AFTER}"
)
_OF_CLICK = by_mode(f"select {_TIE} from @ties where workspace_id = :workspace_id and click_id = :wanted and {_AFTER}")
_MANY = by_mode(
    "select person_id, count(distinct click_id) from @ties where workspace_id = :workspace_id group by person_id "
    f"having count(distinct click_id) >= :clicks_min order by 2 desc, person_id limit {SHARED_MAX}"
)
_SUMMED = by_mode(
    "select count(distinct click_id), min(tied_at_ms), max(tied_at_ms), max(event_id) from @ties "
    "where person_id = :person_id and workspace_id = :workspace_id"
)
NEWEST: Cursor = (10**18, "", 0)


def of_external_id(
    tx: Tx, mode: Mode, vault: Vault, workspace_id: str, external_id: str, after: Cursor, limit: int
) -> list[Tie]:
    """The clicks that an external id is tied to, the latest click first, at most `limit`."""
    person_id = persons.find_id(tx, mode, vault, workspace_id, external_id)
    if person_id is None:
        return []
    params: Params = {"person_id": person_id, **_page(workspace_id, after, limit)}
    return [Tie(*row)._replace(external_id=external_id) for row in tx.all(_OF_PERSON[mode], params)]


def of_click(
    tx: Tx, mode: Mode, vault: Vault, workspace_id: str, click_id: str, after: Cursor, limit: int
) -> list[Tie]:
    """The external ids that a click is tied to, the newest tie first, at most `limit`."""
    params: Params = {"wanted": click_id, **_page(workspace_id, after, limit)}
    ties = [Tie(*row) for row in tx.all(_OF_CLICK[mode], params)]
    readable = {tie.person_id: tie.event_id for tie in ties}
    names = {
        person_id: persons.read(tx, mode, vault, workspace_id, event_id, person_id).external_id
        for person_id, event_id in readable.items()
    }
    return [tie._replace(external_id=names[tie.person_id]) for tie in ties]


def _page(workspace_id: str, after: Cursor, limit: int) -> Params:
    clicked_at_ms, click_id, seq = after
    return {
        "workspace_id": workspace_id,
        "clicked_at_ms": clicked_at_ms,
        "click_id": click_id,
        "seq": seq,
        "limit_count": limit,
    }


def shared(tx: Tx, mode: Mode, vault: Vault, workspace_id: str, clicks_min: int) -> list[Shared]:
    """External ids that tie `clicks_min` clicks or more, and well-known placeholders that tie two; at most 100.

    Looks at every tie of the workspace.
    """
    found: list[Shared] = []
    seen: set[str] = set()
    for name in PLACEHOLDERS:
        person_id = persons.find_id(tx, mode, vault, workspace_id, name)
        row = None if person_id is None else _summed(tx, mode, workspace_id, person_id)
        if person_id is not None and row is not None and int(row[0]) >= PLACEHOLDER_CLICKS_MIN:
            seen.add(person_id)
            found.append(Shared(name, row[0], row[1], row[2], "placeholder"))
    for person_id, _ in tx.all(_MANY[mode], {"workspace_id": workspace_id, "clicks_min": clicks_min}):
        row = _summed(tx, mode, workspace_id, person_id)
        if person_id not in seen and row is not None:
            name_or_none = persons.read(tx, mode, vault, workspace_id, row[3], person_id).external_id
            found.append(Shared(name_or_none, row[0], row[1], row[2], "many_clicks"))
    return sorted(found, key=lambda one: one.clicks_count, reverse=True)[:SHARED_MAX]


def _summed(tx: Tx, mode: Mode, workspace_id: str, person_id: str) -> Row | None:
    return tx.one(_SUMMED[mode], {"person_id": person_id, "workspace_id": workspace_id})
