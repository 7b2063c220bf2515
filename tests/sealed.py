"""A ledger with rows in every table, sealed in several goes, and what somebody might do to its file."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import apsw

from nimriz.core.directory import signet
from nimriz.core.directory.vault import Vault
from nimriz.core.proof import proofs, sealing, seals
from nimriz.core.proof.flaws import Flaw, Result, Root
from nimriz.core.proof.ledger_rows import NAMES
from nimriz.core.proof.sealing import Sealed
from nimriz.store.db import Tx
from nimriz.store.sqlite import Sqlite
from tests.laws.examples import back, lead, sale
from tests.laws.ledger import NOW_MS, OTHER_WORKSPACE, WORKSPACE, Ledger, opened

VAULT = Vault(b"m" * 32)
_EXCLUSION = "insert into exclusions values (null, :id, :workspace, 'secret-9', 1, 0, 1, '', 'bob', 5)"


class Sealing(NamedTuple):
    """A ledger's file, and the key that signs for it."""

    database: Sqlite
    public_key: str

    def seal(self, rows_max: int = sealing.ROWS_MAX) -> Sealed:
        """Seal once."""
        key = self.database.read(lambda tx: signet.load(tx, VAULT))
        return sealing.seal(self.database, VAULT, key, NOW_MS, rows_max)

    def verify(self, roots: Iterable[Root] = ()) -> Result:
        """Hold the ledger against its seals."""
        return proofs.verify(self.database, VAULT, self.public_key, roots, lambda _: None)

    def first(self) -> Flaw:
        """The first thing that does not fit."""
        return self.verify().flaws[0]

    def tamper(self, *statements: str) -> None:
        """Do what somebody does who has the file and no respect: the triggers go first."""
        connection = apsw.Connection(str(self.database.path))
        connection.set_busy_timeout(5_000)
        with connection:
            for (name,) in connection.execute("select name from sqlite_master where type = 'trigger'").fetchall():
                connection.execute(f"drop trigger {name}")
            for statement in statements:
                connection.execute(statement).fetchall()
        connection.close()


def begin(database: Sqlite) -> Sealing:
    """Make what an installation makes when it is opened first."""

    def write(tx: Tx) -> str:
        signet.ensure(tx, VAULT)
        seals.ensure_cursor(tx, VAULT)
        return signet.load(tx, VAULT).public_key

    return Sealing(database, database.write(write))


def fill(ledger: Ledger, number: int) -> None:
    """Rows in every table of the ledger, by two workspaces."""
    e = [f"{name}{number}" for name in ("lead", "sale", "refund", "other")]
    person = f"person{number}"
    ledger.record([lead(e[0], person=person), sale(e[1], 100, person=person), back(e[2], 40, of=e[1])])
    claim = ledger.authentic(sale(e[3], 7))._replace(workspace_id=OTHER_WORKSPACE)
    ledger.recorder.commit([[claim]])
    ledger.database.write(lambda tx: tx.run(_EXCLUSION, {"id": f"x{number}", "workspace": WORKSPACE}))


@cache
def _template() -> bytes:
    with opened() as ledger:
        sealed = begin(ledger.database)
        for number in range(4):
            fill(ledger, number)
            while sealed.seal(rows_max=3).rows:
                pass
        assert sealed.verify().flaws == []
        assert all(sealed.verify().rows[name] >= 4 for name in NAMES)
        ledger.database.close()
        return ledger.database.path.read_bytes()


@contextmanager
def sealed_ledger() -> Iterator[Sealing]:
    """A copy of it, for the time of one example."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
    try:
        (folder / "records.db").write_bytes(_template())
        database = Sqlite(folder / "records.db")
        try:
            yield Sealing(database, database.read(lambda tx: signet.load(tx, VAULT).public_key))
        finally:
            database.close()
    finally:
        shutil.rmtree(folder)
