"""Checking: whether a backup is what its manifest says, every database whole, and the ledger proven by its chain."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from nimriz.backups import manifest as manifests
from nimriz.backups.manifest import BackupRefused, DatabaseFile, Manifest
from nimriz.core.directory import signet, vault
from nimriz.core.directory.vault import Vault
from nimriz.core.proof import proofs, seals
from nimriz.core.proof.flaws import Result
from nimriz.core.proof.seals import ChainBroken
from nimriz.store import copying, tables
from nimriz.store.db import Database, StoreError, Tx
from nimriz.store.migrate import files
from nimriz.store.sqlite import Sqlite


class Proof(NamedTuple):
    """What the chain says of a ledger: a sentence, and whether everything fits."""

    told: str
    fits: bool


@contextmanager
def frozen(path: Path) -> Iterator[Sqlite]:
    """A database of a backup, which is read only."""
    database = Sqlite(path, frozen=True)
    try:
        yield database
    finally:
        database.close()


def check(folder: Path) -> Manifest:
    """The manifest, once every file is what it says. Raises BackupRefused and OSError."""
    manifest = manifests.read(folder)
    for file in manifest.files:
        path = folder / file.name
        if not path.is_file():
            raise BackupRefused(f"{file.name} is missing")
        if manifests.file_of(path) != manifests.File(file.name, file.bytes, file.sha256):
            raise BackupRefused(f"{file.name} is not what the manifest says")
    for database in manifest.databases:
        require_whole(folder / database.name, database)
    with frozen(folder / manifests.RECORDS) as records:
        if records.read(newest_root) != manifest.newest_root:
            raise BackupRefused("the newest root of the ledger is not the one that the manifest names")
    return manifest


def require_whole(path: Path, said: DatabaseFile) -> None:
    """Raise BackupRefused when a database is damaged, newer than this program, or has other rows than it should."""
    newest = files(said.kind)[-1][0]
    if said.schema > newest:
        raise BackupRefused(f"{said.name} was written by a newer version of nimriz")
    try:
        with frozen(path) as database:
            if not database.read(copying.is_whole):
                raise BackupRefused(f"{said.name} is damaged")
            if database.read(tables.counts) != said.rows or database.read(tables.versions) != said.schema:
                raise BackupRefused(f"{said.name} has not the rows that the manifest names")
    except StoreError:
        raise BackupRefused(f"{said.name} is damaged") from None


def newest_root(tx: Tx) -> str:
    """The newest signed root of the ledger; '' before the first."""
    _, signed = seals.newest(tx)
    return "" if signed is None else signed.line


def require_key(records: Database, opened: Vault) -> None:
    """Raise BackupRefused or VaultRefused when these records were made with another master key."""

    def read(tx: Tx) -> None:
        if tx.one("select 1 from installation where name = 'master_key_check'") is None:
            raise BackupRefused("it does not say which master key it belongs to")
        vault.check_master_key(tx, opened)

    records.read(read)


def prove(records: Database, opened: Vault) -> Proof:
    """Hold the ledger against its chain. Raises BackupRefused, VaultRefused and StoreError."""
    require_key(records, opened)
    if records.read(tables.versions) != files("records")[-1][0]:
        return Proof("not checked: another version's; it is checked when it is put back", fits=True)
    try:
        key = records.read(lambda tx: signet.load(tx, opened)).public_key
        result = proofs.verify(records, opened, key, (), _nobody)
    except ChainBroken as broken:
        return Proof(str(broken), fits=False)
    return Proof(_told(result), fits=not result.flaws)


def _told(result: Result) -> str:
    if result.flaws:
        first = result.flaws[0]
        return f"something does not fit: {first.table} {first.seq}: {first.what}"
    return f"everything fits: {sum(result.rows.values())} rows, {result.seals} seals"


def _nobody(_: int) -> None:
    """Nobody is told how far it is."""
