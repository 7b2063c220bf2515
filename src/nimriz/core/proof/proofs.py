"""Proofs: the live ledger in the database held against its seals, row for row.

Reads in pages, each of its own snapshot, so that the server beside it is not held up: what is sealed does not change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from nimriz.base import merkle
from nimriz.core.directory.vault import Vault
from nimriz.core.proof import flaws, ledger_rows, sealing, seals
from nimriz.core.proof.flaws import Chain, Flaw, Result, Root
from nimriz.core.proof.ledger_rows import NAMES, TABLES, Table
from nimriz.core.proof.seals import ENTRY_BYTES, ChainBroken, Cursor, Signed
from nimriz.store.db import Database, Row, Tx

ROWS_PAGE = 2_000
SEALS_PAGE = 50
Seen = Callable[[int], None]


def verify(records: Database, vault: Vault, public_key: str, roots: Iterable[Root], seen: Seen) -> Result:
    """Recompute everything that was sealed. `seen` hears of how many rows were looked at since it was last called.

    Raises ChainBroken when it is not known how far the sealing had come, and StoreError.
    """
    result = Result()
    cursor = records.read(lambda tx: seals.read_cursor(tx, vault))
    workspaces = _walk_chains(records, public_key, cursor, result)
    at_seals, result.flaws = result.flaws, []
    for table in TABLES:
        _hold_rows(records, table, cursor.places[table.name], workspaces, result, seen)
    result.flaws = [*result.flaws, *at_seals][: flaws.FLAWS_MAX]
    for root in roots:
        flaws.compare(root, records.read(partial(_seal_of, root=root)), public_key, result)
    result.unsealed = records.read(lambda tx: sealing.waiting(tx, vault))
    return result


def _seal_of(tx: Tx, root: Root) -> Signed | None:
    row = tx.one(
        "select statement, signature from seals where workspace_id = :workspace_id and number = :number",
        {"workspace_id": root.seal.workspace_id, "number": root.seal.number},
    )
    return None if row is None else Signed(row[0], row[1])


# --- seals ----------------------------------------------------------------------------------------------


def _walk_chains(records: Database, public_key: str, cursor: Cursor, result: Result) -> list[str]:
    """Walk along all chains; the workspaces that have one."""
    chains: dict[str, Chain] = {}
    seq, running, last = 0, seals.NO_HASH, seals.NO_HASH
    for seq, workspace_id, number, signed, entries in _seals(records):  # noqa: B007 - the last one is asked for below
        running, last = seals.chained(running, signed), signed.hash
        chain = chains.setdefault(workspace_id, Chain(public_key, result))
        seal = chain.follow(signed, workspace_id)
        if seal is not None and (seal.number != number or not _stands_for(seal, entries)):
            result.add(Flaw("seals", seal.number, workspace_id, "", flaws.OTHER_ROWS))
    if (seq, last, running) != (cursor.seals, cursor.last, cursor.chain):
        result.add(Flaw("seals", seq, "", "", flaws.CUT_OFF))
    return list(chains)


def _seals(records: Database) -> Iterator[tuple[int, str, int, Signed, dict[str, bytes]]]:
    seq = 0
    try:
        while page := records.read(partial(_page_of_seals, after_seq=seq)):
            for row in page:
                if not isinstance(row[3], str) or not all(isinstance(blob, bytes) for blob in row[4:]):
                    raise ValueError("another type than was written")
                seq = int(row[0])
                yield seq, row[1], row[2], Signed(row[3], row[4]), dict(zip(NAMES, row[5:], strict=True))
    except ValueError as error:  # Text that is none, too.
        raise ChainBroken(f"the seal after the one at seq {seq} cannot be read") from error


def _page_of_seals(tx: Tx, after_seq: int) -> list[Row]:
    return tx.all(
        f"select seq, workspace_id, number, statement, signature, {', '.join(NAMES)} from seals "
        "where seq > :after_seq order by seq limit :limit_count",
        {"after_seq": after_seq, "limit_count": SEALS_PAGE},
    )


def _stands_for(seal: seals.Seal, entries: seals.Entries) -> bool:
    """Whether the entries beside a seal are those that it was made over."""
    for name, (count, upto) in seal.covers.items():
        seqs = seals.seqs_of(entries[name])
        if len(entries[name]) != count * ENTRY_BYTES or seqs != sorted(set(seqs)) or (seqs and seqs[-1] > upto):
            return False
    return merkle.root([hashed for name in NAMES for hashed in seals.hashes_of(entries[name])]).hex() == seal.root


# --- rows -----------------------------------------------------------------------------------------------


class _Expected:
    """The entries of one workspace and table, in their order; a few seals are in memory at a time."""

    def __init__(self, records: Database, table: str, workspace_id: str) -> None:
        self._entries = self._read(records, table, workspace_id)
        self.next: bytes | None = next(self._entries, None)

    def _read(self, records: Database, table: str, workspace_id: str) -> Iterator[bytes]:
        number = 0
        while page := records.read(partial(self._page, table=table, workspace_id=workspace_id, number=number)):
            for number, entries in page:  # noqa: B007 - the last one is where the next page begins
                for at in range(0, len(entries), ENTRY_BYTES):
                    yield entries[at : at + ENTRY_BYTES]

    @staticmethod
    def _page(tx: Tx, table: str, workspace_id: str, number: int) -> list[Row]:
        return tx.all(
            f"select number, {table} from seals where workspace_id = :workspace_id and number > :number "
            "order by number limit :limit_count",
            {"workspace_id": workspace_id, "number": number, "limit_count": SEALS_PAGE},
        )

    def before(self, seq: int) -> Iterator[int]:
        """Take out what should have come before a row: the seqs of rows that are gone."""
        while self.next is not None and (missing := seals.seq_of(self.next)) < seq:
            yield missing
            self.next = next(self._entries, None)

    def take(self) -> None:
        """The next one has been found."""
        self.next = next(self._entries, None)


def _hold_rows(
    records: Database, table: Table, upto_seq: int, workspaces: Iterable[str], result: Result, seen: Seen
) -> None:
    """Hold every sealed row of a table against its entry."""
    expected = {workspace_id: _Expected(records, table.name, workspace_id) for workspace_id in workspaces}
    at, to_bytes, leaf = table.columns.index("workspace_id"), ledger_rows.to_bytes, merkle.leaf
    for page in _pages(records, table, upto_seq, result):
        for row in page:
            own = expected.get(row[at])
            if own is not None and own.next == seals.entry(row[0], leaf(to_bytes(table.name, row))):
                own.take()
            else:
                _note(table, row, own, result)
        result.rows[table.name] += len(page)
        seen(len(page))
    for workspace_id, own in expected.items():
        for seq in own.before(seals.SEQ_MAX + 1):
            result.add(Flaw(table.name, seq, workspace_id, "", flaws.MISSING))
    result.flaws.sort(key=lambda flaw: (NAMES.index(flaw.table), flaw.seq))


def _note(table: Table, row: Row, own: _Expected | None, result: Result) -> None:
    """What is wrong at a row that is not the one expected."""
    seq, workspace_id = row[0], str(table.value(row, "workspace_id"))
    event_id = str(table.value(row, "event_id") or "")
    for missing in own.before(seq) if own is not None else ():
        result.add(Flaw(table.name, missing, workspace_id, "", flaws.MISSING))
    if own is None or own.next is None or seals.seq_of(own.next) != seq:
        result.add(Flaw(table.name, seq, workspace_id, event_id, flaws.INSERTED))
        return
    if own.next != seals.entry(seq, merkle.leaf(ledger_rows.to_bytes(table.name, row))):
        result.add(Flaw(table.name, seq, workspace_id, event_id, flaws.CHANGED))
    own.take()


def _pages(records: Database, table: Table, upto_seq: int, result: Result) -> Iterator[list[Row]]:
    after_seq = seals.SEQ_MIN
    while True:
        try:
            page = records.read(partial(_page, table=table, after_seq=after_seq, upto_seq=upto_seq, limit=ROWS_PAGE))
        except UnicodeDecodeError:
            # Text that is none was written past the service. Row by row, so that it can be named.
            seqs = [row[0] for row in records.read(partial(_seqs, table=table, after_seq=after_seq, upto_seq=upto_seq))]
            yield list(_readable(records, table, seqs, result))
            after_seq = seqs[-1]
            continue
        if not page:
            return
        after_seq = page[-1][0]
        yield page


def _readable(records: Database, table: Table, seqs: Iterable[int], result: Result) -> Iterator[Row]:
    """The rows that can be read; the others are noted."""
    for seq in seqs:
        try:
            yield from records.read(partial(_page, table=table, after_seq=seq - 1, upto_seq=seq, limit=1))
        except UnicodeDecodeError:
            result.add(Flaw(table.name, seq, "", "", flaws.UNREADABLE))


def _seqs(tx: Tx, table: Table, after_seq: int, upto_seq: int) -> list[Row]:
    return tx.all(
        f"select seq from {table.name} where seq > :after_seq and seq <= :upto_seq order by seq limit :limit_count",
        {"after_seq": after_seq, "upto_seq": upto_seq, "limit_count": ROWS_PAGE},
    )


def _page(tx: Tx, table: Table, after_seq: int, upto_seq: int, limit: int) -> list[Row]:
    return tx.all(table.select, {"after_seq": after_seq, "upto_seq": upto_seq, "limit_count": limit})
