"""Exclusions: what one secret signed in a period counts in nothing, after it has leaked; or counts again.

Owns the table exclusions. A period is of arrival, since whoever has the secret says when things happened. Rows are
only ever added: of those that cover an event the newest stands, so that all is dated and can be taken back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from nimriz.core.directory.mode import MODES, by_mode
from nimriz.core.ledger import docket
from nimriz.core.ledger.docket import Entry
from nimriz.core.ledger.ledger import Outcome
from nimriz.store.db import Params, Tx

NOTE_CHARS_MAX = 500


class Exclusion(NamedTuple):
    """One decision: events of `secret_id` that arrived in [from_ms, to_ms) are out (`excludes` 1) or in again (0)."""

    exclusion_id: str
    workspace_id: str
    secret_id: str
    excludes: int
    from_ms: int
    to_ms: int
    note: str
    actor: str
    decided_at_ms: int


class Exclusions:
    """The decisions of one workspace, oldest first; false when there is none."""

    __slots__ = ("_by_secret",)

    def __init__(self, decisions: Sequence[Exclusion] = ()) -> None:
        self._by_secret: dict[str, list[Exclusion]] = {}
        for decision in reversed(decisions):
            self._by_secret.setdefault(decision.secret_id, []).append(decision)

    def __bool__(self) -> bool:
        return bool(self._by_secret)

    def standing(self, secret_id: str, received_at_ms: int) -> Exclusion | None:
        """The newest decision that covers an event."""
        for decision in self._by_secret.get(secret_id, ()):
            if decision.from_ms <= received_at_ms < decision.to_ms:
                return decision
        return None

    def cover(self, outcome: Outcome) -> bool:
        """Whether an outcome is excluded."""
        return bool(self._by_secret) and self.exclude(outcome.secret_id, outcome.received_at_ms)

    def exclude(self, secret_id: str, received_at_ms: int) -> bool:
        """Whether what a secret signed is excluded when it arrived then."""
        decision = self.standing(secret_id, received_at_ms)
        return decision is not None and bool(decision.excludes)


NONE = Exclusions()
_COLUMNS = ", ".join(Exclusion._fields)
_ADD = f"insert into exclusions ({_COLUMNS}) values ({', '.join(':' + f for f in Exclusion._fields)})"
_READ = f"select {_COLUMNS} from exclusions where workspace_id = :workspace_id order by seq"


def history(tx: Tx, workspace_id: str) -> list[Exclusion]:
    """Every decision of a workspace, oldest first."""
    return [Exclusion._make(row) for row in tx.all(_READ, {"workspace_id": workspace_id})]


def read(tx: Tx, workspace_id: str) -> Exclusions:
    """What is excluded in a workspace."""
    decisions = history(tx, workspace_id)
    return Exclusions(decisions) if decisions else NONE


def find(tx: Tx, exclusion_id: str) -> Exclusion | None:
    """One decision."""
    row = tx.one(
        f"select {_COLUMNS} from exclusions where exclusion_id = :exclusion_id", {"exclusion_id": exclusion_id}
    )
    return None if row is None else Exclusion._make(row)


def decide(tx: Tx, decision: Exclusion) -> None:
    """Add a decision; the background judges what it covers again, in both ledgers, within seconds."""
    tx.run(_ADD, decision._asdict())
    for mode in MODES:
        entry = Entry(decision.workspace_id, "exclusion", decision.exclusion_id)
        docket.enter(tx, mode, entry, 0, decision.decided_at_ms)


_COUNT = by_mode(
    "select count(*) from @outcomes where workspace_id = :workspace_id and secret_id = :secret_id "
    "and received_at_ms >= :from_ms and received_at_ms < :to_ms"
)


def covered(tx: Tx, decision: Exclusion) -> int:
    """How many events, live and test, a decision covers by now. Looks at all of the workspace's events."""
    params: Params = {
        "workspace_id": decision.workspace_id,
        "secret_id": decision.secret_id,
        "from_ms": decision.from_ms,
        "to_ms": decision.to_ms,
    }
    rows = [tx.one(_COUNT[mode], params) for mode in MODES]
    return sum(0 if row is None else int(row[0]) for row in rows)


def signed_anything(tx: Tx, workspace_id: str, secret_id: str) -> bool:
    """Whether a secret is one of the workspace, or its id is known from events: those of an import, for example."""
    own = "select 1 from signing_secrets where workspace_id = :workspace_id and secret_id = :secret_id"
    known: Params = {"workspace_id": workspace_id, "secret_id": secret_id}
    if tx.one(own, known) is not None:
        return True
    whole = Exclusion("", workspace_id, secret_id, 0, 0, 2**62, "", "", 0)
    return covered(tx, whole) > 0
