"""Sealing: what was committed to the live ledger becomes part of its workspace's chain, off everybody's way.

Rows are read and hashed in a snapshot, beside the writers; only the seals themselves are written. Whoever else seals
at the same time comes second and writes nothing, and a kill in between leaves nothing: the rows are sealed next time.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from nimriz.base import merkle
from nimriz.core.directory.signet import Signet
from nimriz.core.directory.vault import Vault
from nimriz.core.proof import ledger_rows, seals
from nimriz.core.proof.ledger_rows import NAMES, TABLES
from nimriz.core.proof.seals import ChainBroken, Cursor, Signed
from nimriz.store.db import Database, Tx

ROWS_MAX = 2_000


class Sealed(NamedTuple):
    """What one sealing came to. `more` says that there were rows beyond its bound."""

    rows: int
    seals: int
    more: bool


class _Gathered(NamedTuple):
    """What a snapshot holds that is not sealed yet."""

    cursor: Cursor
    places: dict[str, int]
    # By workspace and table.
    entries: dict[str, dict[str, bytearray]]
    before: dict[str, Signed | None]
    rows: int
    more: bool


NOTHING = Sealed(0, 0, False)


def seal(records: Database, vault: Vault, signet: Signet, now_ms: int, rows_max: int = ROWS_MAX) -> Sealed:
    """Seal what was committed since the last time, of each table at most `rows_max` rows.

    Raises ChainBroken when the seals are not those that were last made, and StoreError.
    """
    found = records.read(lambda tx: _gather(tx, vault, rows_max))
    if not found.rows:
        return NOTHING
    made = {
        workspace_id: seals.make(
            signet, workspace_id, found.before[workspace_id], _fixed(entries), found.places, now_ms
        )
        for workspace_id, entries in sorted(found.entries.items())
    }
    if not records.write(partial(_append, vault=vault, found=found, made=made)):
        return NOTHING
    return Sealed(found.rows, len(made), found.more)


def seal_all(records: Database, vault: Vault, signet: Signet, now_ms: int) -> Sealed:
    """Seal all that was committed by now. Raises what `seal` raises."""
    rows, count = 0, 0
    left = records.read(lambda tx: waiting(tx, vault))
    while left > 0:
        done = seal(records, vault, signet, now_ms)
        rows, count = rows + done.rows, count + done.seals
        # Nothing done: somebody else was faster.
        left = left - done.rows if done.rows else records.read(lambda tx: waiting(tx, vault))
    return Sealed(rows, count, False)


def waiting(tx: Tx, vault: Vault) -> int:
    """How many rows are not sealed yet. Raises ChainBroken."""
    places = seals.read_cursor(tx, vault).places
    counts = [
        tx.one(f"select count(*) from {name} where seq > :after_seq", {"after_seq": places[name]}) for name in NAMES
    ]
    return sum(0 if row is None else int(row[0]) for row in counts)


def _gather(tx: Tx, vault: Vault, rows_max: int) -> _Gathered:
    cursor = seals.read_cursor(tx, vault)
    seq, newest = seals.newest(tx)
    if (seq, seals.NO_HASH if newest is None else newest.hash) != (cursor.seals, cursor.last):
        raise ChainBroken("the newest seal is not the one that was made last")
    places, rows, more = dict(cursor.places), 0, False
    entries: dict[str, dict[str, bytearray]] = {}
    for table in TABLES:
        page = tx.all(
            table.select, {"after_seq": places[table.name], "upto_seq": seals.SEQ_MAX, "limit_count": rows_max}
        )
        at = table.columns.index("workspace_id")
        for row in page:
            own = entries.get(row[at])
            if own is None:
                own = entries[row[at]] = {name: bytearray() for name in NAMES}
            own[table.name] += seals.entry(row[0], merkle.leaf(ledger_rows.to_bytes(table.name, row)))
        if page:
            places[table.name] = page[-1][0]
        rows, more = rows + len(page), more or len(page) == rows_max
    before = {workspace_id: seals.newest_of(tx, workspace_id) for workspace_id in entries}
    return _Gathered(cursor, places, entries, before, rows, more)


def _fixed(entries: dict[str, bytearray]) -> dict[str, bytes]:
    return {name: bytes(entries[name]) for name in NAMES}


def _append(tx: Tx, vault: Vault, found: _Gathered, made: dict[str, Signed]) -> bool:
    """Write the seals; False when somebody else has sealed meanwhile."""
    cursor = seals.read_cursor(tx, vault)
    if cursor != found.cursor:
        return False
    seq, last, chain = cursor.seals, cursor.last, cursor.chain
    for workspace_id, signed in made.items():
        seq, last, chain = seq + 1, signed.hash, seals.chained(chain, signed)
        seals.append(tx, seq, workspace_id, signed, _fixed(found.entries[workspace_id]))
    seals.write_cursor(tx, vault, Cursor(found.places, seq, last, chain))
    return True
