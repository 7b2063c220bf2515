"""The installation: what lies in the data directory, opened for a server or for a command beside it."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from nimriz.base.clock import Clock
from nimriz.base.tokens import Keyring
from nimriz.config import Settings
from nimriz.core.directory import signet, vault
from nimriz.core.directory.signet import Signet
from nimriz.core.directory.vault import Vault
from nimriz.core.exports import exports
from nimriz.core.ledger.erasures import Eraser
from nimriz.core.links import domains
from nimriz.core.links.domains import Hosts, hosts_of
from nimriz.core.proof import seals
from nimriz.store.db import Database, Tx
from nimriz.store.migrate import migrate
from nimriz.store.sqlite import Sqlite

WORKERS_MAX = 64


@dataclass(frozen=True, slots=True)
class Installation:
    """The data directory, opened: the records, the vault, the keys of tokens and proofs, and the clock."""

    settings: Settings
    records: Sqlite
    vault: Vault
    keyring: Keyring
    signet: Signet
    clock: Clock
    hosts: Hosts

    @property
    def eraser(self) -> Eraser:
        """What forgets persons."""
        settings = self.settings
        return Eraser(
            self.records, self.vault, self.signet, settings.erasures_path, settings.data_dir / exports.FOLDER
        )  # fmt: skip

    def close(self) -> None:
        """Close the records."""
        self.records.close()


def open_installation(settings: Settings) -> Installation:
    """Open the data directory, making and migrating what is not there yet.

    Raises VaultRefused, MigrationRefused, SqliteTooOld or StoreError, each with a sentence.
    """
    clock = Clock(settings.clock_offset_s)
    now_ms = clock.now_ms()
    path = settings.data_dir / "records.db"
    key = vault.load_master_key(settings.master_key, settings.key_file, data_exists=path.exists())
    opened = Vault(key)
    os.umask(0o077)  # What is made from here on is its owner's alone.
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    hosts = hosts_of(settings.app_host)
    records = Sqlite(path, secure_delete=True)

    def prepare(tx: Tx) -> tuple[Keyring, Signet]:
        vault.check_master_key(tx, opened)
        signet.ensure(tx, opened)
        seals.ensure_cursor(tx, opened)
        domains.ensure_default(tx, hosts.default_domain, now_ms)
        return vault.load_keyring(tx, opened), signet.load(tx, opened)

    try:
        migrate(records, "records", now_ms)
        keyring, own_signet = records.write(prepare)
    except BaseException:
        records.close()
        raise
    return Installation(settings, records, opened, keyring, own_signet, clock, hosts)


def open_deliveries(data_dir: Path, now_ms: int) -> Sqlite:
    """The notes of deliveries, which all processes share. Nothing else depends on them."""
    database = Sqlite(data_dir / "deliveries.db")
    migrate(database, "deliveries", now_ms)
    return database


class ClickLogs:
    """The click logs of the data directory: this process's own, and everybody's for reading."""

    def __init__(self, data_dir: Path, now_ms: int) -> None:
        self._data_dir = data_dir
        self._now_ms = now_ms
        self._opened: dict[Path, Sqlite] = {}
        self._lock_handle = -1
        self.own = self._open(self._take())

    def _take(self) -> Path:
        for number in range(WORKERS_MAX):
            handle = os.open(self._data_dir / f"clicks-{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(handle)
                continue
            self._lock_handle = handle
            return self._data_dir / f"clicks-{number}.db"
        raise RuntimeError("every click log is taken")

    def _open(self, path: Path) -> Sqlite:
        if path not in self._opened:
            database = Sqlite(path)
            migrate(database, "clicks", self._now_ms)
            self._opened[path] = database
        return self._opened[path]

    def all(self) -> list[Database]:
        """Every click log there is."""
        return [self._open(path) for path in sorted(self._data_dir.glob("clicks-*.db"))]

    def close(self) -> None:
        """Close them, and give this process's own back."""
        for database in self._opened.values():
            database.close()
        os.close(self._lock_handle)
