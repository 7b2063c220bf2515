"""Decisions: what the decision numbers of clicks and tokens mean. Owns the table decisions, append-only.

A number is given once for each link, route and variant, and never again: a conversion keeps its variant whatever
becomes of the experiment. 0 is the link itself and has no row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from nimriz.base.errors import Refused
from nimriz.store.db import Tx

NUMBERS_MAX = 10_000
"""So many numbers a link gives; a token has room for 2**27 - 1."""

Kind = Literal["route", "variant"]
Pair = tuple[str, int]
"""A link and one of its decision numbers."""


class Decided(NamedTuple):
    """What one number means: `rule_id` is the route's or the experiment's, `variant` is '' for a route."""

    workspace_id: str
    link_id: str
    decision: int
    kind: str
    rule_id: str
    variant: str
    created_at_ms: int

    @property
    def variant_key(self) -> str:
        """The key of the variant in reports and answers, `link_id/variant`; '' for a route."""
        return f"{self.link_id}/{self.variant}" if self.variant else ""


_COLUMNS = ", ".join(Decided._fields)
_GIVE = f"insert into decisions ({_COLUMNS}) values ({', '.join(':' + f for f in Decided._fields)})"
_OF_LINK = f"select {_COLUMNS} from decisions where link_id = :link_id order by decision"
_OF_RULES = f"select {_COLUMNS} from decisions where link_id = :link_id and rule_id in (:keys)"
_ONE = f"select {_COLUMNS} from decisions where link_id = :link_id and decision = :decision"


def of_link(tx: Tx, link_id: str) -> list[Decided]:
    """Every number that a link has ever given, lowest first."""
    return [Decided._make(row) for row in tx.all(_OF_LINK, {"link_id": link_id})]


def of_rules(tx: Tx, link_id: str, rule_ids: Sequence[str]) -> dict[tuple[str, str], int]:
    """The numbers of some rules of a link, by (rule_id, variant)."""
    found = map(Decided._make, tx.each(_OF_RULES, rule_ids, {"link_id": link_id}))
    return {(one.rule_id, one.variant): one.decision for one in found}


def give(
    tx: Tx, workspace_id: str, link_id: str, wanted: Sequence[tuple[Kind, str, str]], now_ms: int
) -> dict[tuple[str, str], int]:
    """The numbers of a link's routes and variants, new ones for those that have none yet.

    `wanted` are (kind, rule_id, variant); the answer is by (rule_id, variant). Raises Refused: variant_key_taken when
    another experiment of the link has or had a variant with this key, quota_exceeded past NUMBERS_MAX.
    """
    known = of_link(tx, link_id)
    numbers = {(one.rule_id, one.variant): one.decision for one in known}
    taken = {one.variant for one in known if one.variant}
    newest = known[-1].decision if known else 0
    rows = []
    for kind, rule_id, variant in wanted:
        if (rule_id, variant) in numbers:
            continue
        if variant in taken:
            raise Refused("variant_key_taken")
        if newest >= NUMBERS_MAX:
            raise Refused("quota_exceeded")
        newest += 1
        taken |= {variant} - {""}
        numbers[rule_id, variant] = newest
        rows.append(Decided(workspace_id, link_id, newest, kind, rule_id, variant, now_ms))
    tx.many(_GIVE, rows)
    return numbers


def variant_key(tx: Tx, link_id: str, decision: int) -> str:
    """The key of the variant that a click was sent to, `link_id/variant`; '' for the link itself and for routes."""
    if not decision:
        return ""
    row = tx.one(_ONE, {"link_id": link_id, "decision": decision})
    return "" if row is None else Decided._make(row).variant_key


def named(tx: Tx, pairs: Iterable[Pair]) -> dict[Pair, Decided]:
    """What numbers of links mean; the links themselves are left out."""
    found = {}
    for link_id, decision in set(pairs):
        row = tx.one(_ONE, {"link_id": link_id, "decision": decision}) if decision else None
        if row is not None:
            found[link_id, decision] = Decided._make(row)
    return found
