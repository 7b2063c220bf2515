"""The manifest: what a backup holds. It is written last, so a folder without one is no backup."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from shutil import rmtree
from typing import BinaryIO, Literal

import msgspec

FORM = 1
NAME = "manifest.json"
RECORDS = "records.db"
JOURNAL = "erasures.ndjson"
_CHUNK_BYTES = 1024 * 1024
Schema = Literal["records", "deliveries", "clicks"]


class BackupRefused(Exception):
    """It cannot be made, or is none, or cannot be put back; the message is the sentence that says why."""


class File(msgspec.Struct, frozen=True):
    """One file, whatever it holds."""

    name: str
    bytes: int
    sha256: str


class DatabaseFile(File, frozen=True):
    """A database: the number of its newest migration, and how many rows each table has."""

    schema: int
    rows: dict[str, int]

    @property
    def kind(self) -> Schema:
        """Which schema it has. Raises BackupRefused."""
        return kind_of(self.name)


class Manifest(msgspec.Struct, frozen=True):
    """A backup. `newest_root` is the newest signed root of the ledger, as `nimriz ledger roots` prints it."""

    nimriz_backup: int
    version: str
    taken_at: str
    databases: list[DatabaseFile]
    journal: File
    newest_root: str

    @property
    def files(self) -> list[File]:
        """Every file but the manifest itself."""
        return [*self.databases, self.journal]

    def rows(self, table: str) -> int:
        """How many rows a table has, in all databases together."""
        return sum(database.rows.get(table, 0) for database in self.databases)


def kind_of(name: str) -> Schema:
    """Which schema a database has, by its name. Raises BackupRefused."""
    match name:
        case "records.db":
            return "records"
        case "deliveries.db":
            return "deliveries"
        case _ if re.fullmatch(r"clicks-\d{1,4}\.db", name):
            return "clicks"
    raise BackupRefused("the manifest names a file that is none of ours")


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest. Raises OSError."""
    (folder / NAME).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")


def read(folder: Path) -> Manifest:
    """The manifest of a backup. Raises BackupRefused and OSError."""
    try:
        text = (folder / NAME).read_bytes()
        form = msgspec.json.decode(text).get("nimriz_backup")
        if form != FORM:
            raise BackupRefused("it was written by another version of nimriz, or is no backup")
        manifest = msgspec.json.decode(text, type=Manifest)
    except FileNotFoundError:
        raise BackupRefused(f"there is no {NAME} in this folder: a backup that was interrupted has none") from None
    except (ValueError, AttributeError):
        raise BackupRefused(f"{NAME} cannot be read") from None
    kinds = [database.kind for database in manifest.databases]
    if manifest.journal.name != JOURNAL or kinds.count("records") != 1:
        raise BackupRefused(f"{NAME} does not tell of an installation")
    return manifest


def file_of(path: Path) -> File:
    """A file as it is now. Raises OSError."""
    with path.open("rb") as file:
        size, sha256 = hashed(file)
    return File(path.name, size, sha256)


def hashed(file: BinaryIO, to: BinaryIO | None = None) -> tuple[int, str]:
    """The size and SHA-256 of what is left to read, which is written to another file, if there is one."""
    size, digest = 0, hashlib.sha256()
    while chunk := file.read(_CHUNK_BYTES):
        size += len(chunk)
        digest.update(chunk)
        if to is not None:
            to.write(chunk)
    return size, digest.hexdigest()


def sync(folder: Path) -> None:
    """See the files of a folder, and their names, to disk. Raises OSError."""
    for path in [*folder.iterdir(), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def becoming(target: Path, suffix: str) -> Iterator[Path]:
    """A folder beside `target`, empty, which gets that name in the end when nothing went wrong, and else is removed.

    What a kill has left is taken over; what somebody else is making now is not. Raises BackupRefused and OSError.
    """
    os.umask(0o077)
    part = target.with_name(target.name + suffix)
    part.mkdir(parents=True, exist_ok=True)
    handle = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            flock(handle, LOCK_EX | LOCK_NB)
        except OSError:
            raise BackupRefused(f"another command is writing {part.name}") from None
        try:
            for entry in part.iterdir():
                rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
            yield part
            sync(part)
            if target.exists():
                target.rmdir()
            part.replace(target)
        finally:
            rmtree(part, ignore_errors=True)
        parent = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(parent)
        finally:
            os.close(parent)
    finally:
        os.close(handle)
