"""Seals: the signed links of each workspace's chain, over the rows of its live ledger.

Owns the table seals. A seal covers the rows that were committed since the one before it: the head of a Merkle tree
over them, and the hash of the seal before. A second running hash, over all seals of the installation, is kept sealed
under the master key, so that a chain cut off at its end does not go on as if nothing had happened.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from nimriz.base import merkle
from nimriz.base.clock import to_rfc3339
from nimriz.core.directory.signet import Signet
from nimriz.core.directory.vault import Vault, VaultRefused
from nimriz.core.proof.ledger_rows import NAMES
from nimriz.store.db import Params, Tx

SEQ_BYTES = 8
HASH_BYTES = 32
ENTRY_BYTES = SEQ_BYTES + HASH_BYTES
SEQ_MIN, SEQ_MAX = -(2**63), 2**63 - 1
NO_HASH = ""
_CURSOR = "ledger_cursor"
_PLAIN = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


class ChainBroken(Exception):
    """The seals are not those that were last made; nothing more may be sealed."""


class Seal(NamedTuple):
    """What a seal says. `covers` is, for each table: how many rows, and the seq up to which there are no others."""

    workspace_id: str
    number: int
    sealed_at: str
    previous: str
    root: str
    covers: Mapping[str, tuple[int, int]]

    @property
    def rows(self) -> int:
        """How many rows it covers."""
        return sum(count for count, _ in self.covers.values())


class Signed(NamedTuple):
    """A seal as it was signed."""

    statement: str
    signature: bytes

    @property
    def hash(self) -> str:
        """What the next seal names as the one before it."""
        return sha256(self.statement.encode()).hexdigest()

    @property
    def line(self) -> str:
        """It as one line of JSON, for a place outside the database."""
        return f'{{"seal":{self.statement},"signature":"{self.signature.hex()}"}}'


class Cursor(NamedTuple):
    """How far the sealing has come: the last seq of each table, and of the seals, with their running hash."""

    places: dict[str, int]
    seals: int
    last: str
    chain: str


Entries = Mapping[str, bytes]
"""For each table the seq and the hash of every row, one after the other."""


def statement_of(seal: Seal) -> str:
    """The bytes that are signed: compact JSON, its members in this order, in ASCII."""
    told = {
        "nimriz_seal": 1,
        "workspace_id": seal.workspace_id,
        "number": seal.number,
        "sealed_at": seal.sealed_at,
        "previous": seal.previous,
        "root": seal.root,
        **{name: list(seal.covers[name]) for name in NAMES},
    }
    return _PLAIN(told)


def read_statement(statement: str) -> Seal:
    """What a statement says. Raises ValueError for any other text, one with the same meaning included."""
    try:
        told: dict[str, Any] = json.loads(statement)
        covers = {name: (int(told[name][0]), int(told[name][1])) for name in NAMES}
        seal = Seal(told["workspace_id"], told["number"], told["sealed_at"], told["previous"], told["root"], covers)
        same = statement_of(seal) == statement
    except (KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise ValueError("not a seal") from error
    if not same:
        raise ValueError("not a seal")
    return seal


def read_line(line: str) -> Signed:
    """A seal from a line outside the database. Raises ValueError."""
    try:
        told = json.loads(line)
        statement = _PLAIN(told["seal"])
        signature = bytes.fromhex(told["signature"])
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError("not a seal") from error
    read_statement(statement)
    return Signed(statement, signature)


def hashes_of(entries: bytes) -> list[bytes]:
    """The hashes of a table's entries."""
    return [entries[at : at + HASH_BYTES] for at in range(SEQ_BYTES, len(entries), ENTRY_BYTES)]


def seqs_of(entries: bytes) -> list[int]:
    """The seqs of a table's entries."""
    return [seq_of(entries[at : at + SEQ_BYTES]) for at in range(0, len(entries), ENTRY_BYTES)]


def seq_of(one: bytes) -> int:
    """The seq of one entry."""
    return int.from_bytes(one[:SEQ_BYTES], "big", signed=True)


def entry(seq: int, hashed: bytes) -> bytes:
    """One entry."""
    return seq.to_bytes(SEQ_BYTES, "big", signed=True) + hashed


def make(
    signet: Signet, workspace_id: str, before: Signed | None, entries: Entries, places: Mapping[str, int], now_ms: int
) -> Signed:
    """The next seal of a workspace, over these entries, up to these places."""
    number = 1 if before is None else read_statement(before.statement).number + 1
    leaves = [hashed for name in NAMES for hashed in hashes_of(entries[name])]
    seal = Seal(
        workspace_id, number, to_rfc3339(now_ms), NO_HASH if before is None else before.hash,
        merkle.root(leaves).hex(), {name: (len(entries[name]) // ENTRY_BYTES, places[name]) for name in NAMES},
    )  # fmt: skip
    statement = statement_of(seal)
    return Signed(statement, signet.sign(statement.encode()))


def chained(chain: str, signed: Signed) -> str:
    """The running hash over all seals, one further."""
    return sha256(f"{chain}{signed.hash}".encode()).hexdigest()


# --- the database ---------------------------------------------------------------------------------------


def ensure_cursor(tx: Tx, vault: Vault) -> None:
    """Begin at nothing, with the installation."""
    if tx.one("select 1 from installation where name = :name", {"name": _CURSOR}) is None:
        write_cursor(tx, vault, Cursor(dict.fromkeys(NAMES, 0), 0, NO_HASH, NO_HASH))


def read_cursor(tx: Tx, vault: Vault) -> Cursor:
    """How far the sealing has come. Raises ChainBroken when that cannot be known."""
    row = tx.one("select value from installation where name = :name", {"name": _CURSOR})
    try:
        if row is None:
            raise ValueError("missing")
        told = json.loads(vault.open(row[0], _CURSOR.encode()))
        return Cursor({name: told["places"].get(name, 0) for name in NAMES}, told["seals"], told["last"], told["chain"])
    except (VaultRefused, ValueError, TypeError, KeyError) as error:
        raise ChainBroken("what was kept about the newest seal is missing, or was changed") from error


def write_cursor(tx: Tx, vault: Vault, cursor: Cursor) -> None:
    """Remember how far the sealing has come."""
    sealed = vault.seal(_PLAIN(cursor._asdict()).encode(), _CURSOR.encode())
    tx.run(
        "insert into installation (name, value) values (:name, :value) "
        "on conflict (name) do update set value = excluded.value",
        {"name": _CURSOR, "value": sealed},
    )


_APPEND = (
    "insert into seals (seq, workspace_id, number, statement, signature, outcomes, verdicts, settlements, movements, "
    "ties, exclusions) values (:seq, :workspace_id, :number, :statement, :signature, :outcomes, :verdicts, "
    ":settlements, :movements, :ties, :exclusions)"
)


def append(tx: Tx, seq: int, workspace_id: str, signed: Signed, entries: Entries) -> None:
    """Append a seal."""
    number = read_statement(signed.statement).number
    said: Params = {"workspace_id": workspace_id, "number": number, "statement": signed.statement}
    tx.run(_APPEND, {**entries, **said, "seq": seq, "signature": signed.signature})


def newest(tx: Tx) -> tuple[int, Signed | None]:
    """The newest seal of all, and its seq; (0, None) before the first."""
    row = tx.one("select seq, statement, signature from seals order by seq desc limit 1")
    return (0, None) if row is None else (int(row[0]), Signed(row[1], row[2]))


def newest_of(tx: Tx, workspace_id: str) -> Signed | None:
    """The newest seal of a workspace."""
    row = tx.one(
        "select statement, signature from seals where workspace_id = :workspace_id order by number desc limit 1",
        {"workspace_id": workspace_id},
    )
    return None if row is None else Signed(row[0], row[1])


def page(tx: Tx, after_seq: int, limit: int, workspace_id: str = "") -> Sequence[tuple[int, Signed]]:
    """Seals in the order in which they were made, with their seq; '' for those of every workspace."""
    rows = tx.all(
        "select seq, statement, signature from seals where seq > :after_seq "
        "and (:workspace_id = '' or workspace_id = :workspace_id) order by seq limit :limit_count",
        {"after_seq": after_seq, "workspace_id": workspace_id, "limit_count": limit},
    )
    return [(int(seq), Signed(statement, signature)) for seq, statement, signature in rows]
