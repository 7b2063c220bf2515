"""Flaws: what does not fit when the ledger is held against its seals, and the checks that both proofs share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from nimriz.core.directory import signet
from nimriz.core.proof import seals
from nimriz.core.proof.ledger_rows import NAMES
from nimriz.core.proof.seals import Seal, Signed

FLAWS_MAX = 100
CHANGED = "the row is not the one that was sealed"
MISSING = "the row is gone"
INSERTED = "the row was not there when its neighbours were sealed"
UNREADABLE = "the row cannot be read"
UNSIGNED = "the seal was not signed by this key"
MALFORMED = "the seal is not one"
OUT_OF_CHAIN = "the seal does not follow the one before it"
OTHER_ROWS = "the seal does not stand for the rows that are noted beside it"
CUT_OFF = "the newest seals are gone, or were not made by this installation"
UNPUBLISHED = "a published root is of a seal that is not there"
OTHER_ROOT = "a published root is of another seal than the one that is there"
FALSE_ROOT = "a published root was not signed by this key"


class Flaw(NamedTuple):
    """One thing that does not fit: where, and what. `seq` is that of a row, or the number of a seal."""

    table: str
    seq: int
    workspace_id: str
    event_id: str
    what: str


@dataclass(slots=True)
class Result:
    """What came of a check: how much was looked at, and at most 100 flaws, the first row that does not fit first."""

    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NAMES, 0))
    seals: int = 0
    roots: int = 0
    unsealed: int = 0
    flaws: list[Flaw] = field(default_factory=list)

    def add(self, flaw: Flaw) -> None:
        """Note a flaw, as long as there are not too many."""
        if len(self.flaws) < FLAWS_MAX:
            self.flaws.append(flaw)


class Chain:
    """The chain of one workspace, as it is walked along."""

    def __init__(self, public_key: str, result: Result) -> None:
        self.public_key = public_key
        self._result = result
        self.before: Signed | None = None
        self.covered = dict.fromkeys(NAMES, 0)
        self.number = 0

    def follow(self, signed: Signed, workspace_id: str, *, alone: bool = False) -> Seal | None:
        """The next seal, if it is one at all; what does not fit is noted. One `alone` need not follow another."""
        self._result.seals += 1
        self.number += 1
        try:
            seal = seals.read_statement(signed.statement)
        except ValueError:
            self._note(workspace_id, self.number, MALFORMED)
            return None
        if not signet.signed(self.public_key, signed.statement.encode(), signed.signature):
            self._note(workspace_id, seal.number, UNSIGNED)
        elif not alone and not self._follows(seal, workspace_id):
            self._note(workspace_id, seal.number, OUT_OF_CHAIN)
        self.before, self.number = signed, seal.number
        self.covered = {name: upto for name, (_, upto) in seal.covers.items()}
        return seal

    def _follows(self, seal: Seal, workspace_id: str) -> bool:
        previous = seals.NO_HASH if self.before is None else self.before.hash
        forward = all(upto >= self.covered[name] for name, (_, upto) in seal.covers.items())
        return (seal.workspace_id, seal.number, seal.previous) == (workspace_id, self.number, previous) and forward

    def _note(self, workspace_id: str, number: int, what: str) -> None:
        self._result.add(Flaw("seals", number, workspace_id, "", what))


class Root(NamedTuple):
    """A published root: the line that it stood in, and what it says."""

    line: int
    signed: Signed
    seal: Seal


def read_roots(lines: Iterable[str]) -> tuple[list[Root], int]:
    """The roots of a file, and how many lines were none. An empty line is no line."""
    roots, strange = [], 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            signed = seals.read_line(line)
            roots.append(Root(number, signed, seals.read_statement(signed.statement)))
        except ValueError:
            strange += 1
    return roots, strange


def compare(root: Root, there: Signed | None, public_key: str, result: Result) -> None:
    """Hold a published root against the seal of its workspace and number."""
    result.roots += 1
    what = ""
    if not signet.signed(public_key, root.signed.statement.encode(), root.signed.signature):
        what = FALSE_ROOT
    elif there is None:
        what = UNPUBLISHED
    elif there.statement != root.signed.statement:
        what = OTHER_ROOT
    if what:
        result.add(Flaw("seals", root.seal.number, root.seal.workspace_id, "", what))
