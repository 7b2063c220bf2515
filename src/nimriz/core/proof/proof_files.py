"""Proof files: a workspace's ledger, or some of its rows, as NDJSON that can be checked without any database.

Whole: every seal, each with the hashes of its rows and then the rows themselves. Of some events: the seals concerned,
and each row with its path to the seal's root. docs/reference/ledger-proof.md describes the lines.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from nimriz.base import merkle
from nimriz.core.proof import flaws, ledger_rows, seals
from nimriz.core.proof.flaws import Chain, Flaw, Result, Root
from nimriz.core.proof.ledger_rows import NAMES, TABLES, Table
from nimriz.core.proof.seals import Seal, Signed
from nimriz.store.db import Database, Row, Tx

FORMAT = "nimriz_ledger_export"
_ROWS_PAGE = 256
_PLAIN = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


class FileRefused(Exception):
    """This is no export of a ledger; the message says why."""


# --- writing --------------------------------------------------------------------------------------------


def write(records: Database, public_key: str, workspace_id: str, event_ids: Sequence[str] = ()) -> Iterator[bytes]:
    """The lines of an export: of the whole ledger, or of the rows that are about some events. Raises StoreError."""
    yield _line({FORMAT: 1, "workspace_id": workspace_id, "public_key": public_key, "whole": not event_ids})
    wanted = frozenset(event_ids)
    seal_count, row_count, number = 0, 0, 0
    while found := records.read(partial(_seal_after, workspace_id=workspace_id, number=number)):
        number, signed, entries = found
        rows = list(_rows(records, workspace_id, entries, wanted))
        if wanted and not rows:
            continue
        leaves = [hashed for name in NAMES for hashed in seals.hashes_of(entries[name])]
        told = {} if wanted else {"leaves": [hashed.hex() for hashed in leaves]}
        yield f"{signed.line[:-1]}{',' if told else ''}{_PLAIN(told)[1:]}\n".encode()
        for place, row in rows:
            if wanted:
                beside = [hashed.hex() for hashed in merkle.path(leaves, place)]
                yield _line({"index": place, "path": beside})
            yield row + b"\n"
        seal_count, row_count = seal_count + 1, row_count + len(rows)
    yield _line({"end": True, "seals": seal_count, "rows": row_count})


def _line(told: dict[str, Any]) -> bytes:
    return _PLAIN(told).encode() + b"\n"


def _seal_after(tx: Tx, workspace_id: str, number: int) -> tuple[int, Signed, dict[str, bytes]] | None:
    row = tx.one(
        f"select number, statement, signature, {', '.join(NAMES)} from seals "
        "where workspace_id = :workspace_id and number > :number order by number limit 1",
        {"workspace_id": workspace_id, "number": number},
    )
    return None if row is None else (int(row[0]), Signed(row[1], row[2]), dict(zip(NAMES, row[3:], strict=True)))


def _rows(
    records: Database, workspace_id: str, entries: seals.Entries, wanted: frozenset[str]
) -> Iterator[tuple[int, bytes]]:
    """The rows of a seal that are wanted (none: all of them), with their places in its tree."""
    first = 0
    for table in TABLES:
        seqs = seals.seqs_of(entries[table.name])
        places = {seq: place for place, seq in enumerate(seqs, first)}
        first += len(seqs)
        for at in range(0, len(seqs), _ROWS_PAGE):
            rows = records.read(partial(_these, table=table, seqs=seqs[at : at + _ROWS_PAGE]))
            for row in sorted(rows):
                about = {table.value(row, "event_id"), table.value(row, "sale_event_id")}
                if row[table.columns.index("workspace_id")] == workspace_id and (not wanted or wanted & about):
                    yield places[row[0]], ledger_rows.to_bytes(table.name, row)


def _these(tx: Tx, table: Table, seqs: Sequence[int]) -> list[Row]:
    return tx.each(f"select {', '.join(table.columns)} from {table.name} where seq in (:keys)", seqs)


# --- checking -------------------------------------------------------------------------------------------


class Checked(NamedTuple):
    """What came of checking a file: the workspace, whether it is its whole ledger, and whose key the file names."""

    workspace_id: str
    whole: bool
    public_key: str
    result: Result


def check(lines: Iterable[bytes], public_key: str = "", roots: Iterable[Root] = ()) -> Checked:
    """Check an export by this key ('': by the one that the file names, which proves nothing of who made it).

    Raises FileRefused for what is no export, or was cut off.
    """
    reader = iter(lines)
    head = _object(next(reader, b""))
    if head.get(FORMAT) != 1:
        raise FileRefused("its first line is not that of an export of this version")
    workspace_id, whole = str(head.get("workspace_id")), head.get("whole") is True
    result = Result()
    walk = _Walk(Chain(public_key or str(head.get("public_key")), result), workspace_id, whole, result)
    try:
        for line in reader:
            walk.read(line.rstrip(b"\r\n"))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise FileRefused("it has a line that belongs to no export") from error
    if not walk.ended:
        raise FileRefused("its end is missing")
    for root in roots:
        if root.seal.workspace_id == workspace_id and (whole or root.seal.number in walk.seals):
            flaws.compare(root, walk.seals.get(root.seal.number), walk.public_key, result)
    return Checked(workspace_id, whole, str(head.get("public_key")), result)


def _object(line: bytes) -> dict[str, Any]:
    try:
        told = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise FileRefused("it has a line that is no JSON") from error
    if not isinstance(told, dict):
        raise FileRefused("its first line is not that of an export of this version")
    return told


class _Walk:
    """One reading of the lines after the first."""

    def __init__(self, chain: Chain, workspace_id: str, whole: bool, result: Result) -> None:
        self._chain, self._workspace_id, self._whole, self._result = chain, workspace_id, whole, result
        self.public_key = chain.public_key
        self.seals: dict[int, Signed] = {}
        self.ended = False
        self._seal: Seal | None = None
        # The hashes that are still to come, in their order, in a whole export.
        self._leaves: list[bytes] = []
        self._at = 0
        self._proof: dict[str, Any] | None = None
        self._rows = 0

    def read(self, line: bytes) -> None:
        """Take a line. Raises ValueError, KeyError or TypeError for one that does not belong here."""
        if self.ended:
            raise ValueError("a line after the end")
        if line.startswith(b"["):
            self._row(line)
            return
        told = json.loads(line)
        if "seal" in told:
            self._close()
            self._open(told, line.decode())
        elif "path" in told:
            self._proof = told
        else:
            self._end(told)

    def _open(self, told: dict[str, Any], line: str) -> None:
        signed = seals.read_line(line)
        self._seal = self._chain.follow(signed, self._workspace_id, alone=not self._whole)
        if self._seal is None:
            raise ValueError("not a seal")
        if self._seal.workspace_id != self._workspace_id:
            self._note("seals", self._seal.number, "", flaws.OUT_OF_CHAIN)
        self.seals[self._seal.number] = signed
        self._leaves = [bytes.fromhex(text) for text in told["leaves"]] if self._whole else []
        self._at = 0
        fits = len(self._leaves) == self._seal.rows and merkle.root(self._leaves).hex() == self._seal.root
        if self._whole and not fits:
            self._note("seals", self._seal.number, "", flaws.OTHER_ROWS)

    def _row(self, line: bytes) -> None:
        row = json.loads(line)
        table = next((table for table in TABLES if table.name == row[0]), None)
        if table is None or len(row) != len(table.columns) + 1:
            raise ValueError("a row of another table")
        seq = int(row[1])
        event_id = str(table.value(tuple(row[1:]), "event_id") or "")
        hashed = merkle.leaf(line)
        self._rows += 1
        self._result.rows[table.name] += 1
        if self._seal is None:
            raise ValueError("a row before the first seal")
        if not self._whole:
            self._by_path(table.name, seq, event_id, hashed)
        elif self._at < len(self._leaves) and self._leaves[self._at] == hashed:
            self._at += 1
        elif hashed in self._leaves[self._at :]:
            found = self._leaves.index(hashed, self._at)
            self._missing(self._at, found)
            self._at = found + 1
        else:
            self._note(table.name, seq, event_id, flaws.CHANGED)

    def _by_path(self, name: str, seq: int, event_id: str, hashed: bytes) -> None:
        proof, self._proof = self._proof, None
        if proof is None or self._seal is None:
            raise ValueError("a row without its path")
        beside = [bytes.fromhex(text) for text in proof["path"]]
        if merkle.head_of(hashed, int(proof["index"]), self._seal.rows, beside).hex() != self._seal.root:
            self._note(name, seq, event_id, flaws.CHANGED)

    def _missing(self, first: int, end: int) -> None:
        """Note the rows at these places of the seal; the export does not say what was in them."""
        number = 0 if self._seal is None else self._seal.number
        for place in range(first, end):
            self._note("seals", number, "", f"row {place + 1} of the seal is not the one that was sealed")

    def _close(self) -> None:
        self._missing(self._at, len(self._leaves))
        self._leaves, self._at = [], 0

    def _end(self, told: dict[str, Any]) -> None:
        self._close()
        if told["end"] is not True or (told["seals"], told["rows"]) != (len(self.seals), self._rows):
            raise ValueError("another end")
        self.ended = True

    def _note(self, table: str, seq: int, event_id: str, what: str) -> None:
        self._result.add(Flaw(table, seq, self._workspace_id, event_id, what))
