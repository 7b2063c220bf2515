"""The stage: what is finished of an export that is being made, and the journal that says so.

Whoever is killed leaves a journal that names parts which are on disk to the last byte, and perhaps something after
them that nobody trusts. The next attempt keeps the former and cuts off the latter. CSV and NDJSON grow in one file,
part after part. A Parquet file cannot grow once it has its end, so its parts are files of their own. What an earlier
attempt wrote is held against its digest before the export is presented.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from nimriz.analytics.tabular import Column
from nimriz.core.exports.exports import Made

_CHUNK_BYTES = 1024 * 1024
_JOURNAL = "journal"
_GROWING = "growing"

Position = int | str | None
"""Where rows go on, in the words of whoever gathers them; None where nothing is left."""


class Spoiled(Exception):
    """What is on disk is not what was written."""


class Frame(NamedTuple):
    """What an export is held to from its first part to its last. `total`: how many rows there will be, if known."""

    columns: list[Column]
    start: Position
    next_after: dict[str, int]
    fresh_ms: int
    total: int | None
    plan: Any


class Part(NamedTuple):
    """Rows that are on disk, and where those after them begin."""

    rows: int
    size: int
    sha256: str
    goes_on: Position


class _Journal(NamedTuple):
    made_for: str
    frame: Frame
    parts: list[Part]
    made: Made | None


class Stage:
    """The folder of one export. `made_for` says which attempts may go on with what lies in it."""

    def __init__(self, folder: Path, made_for: str, *, grows: bool) -> None:
        self.folder = folder
        self._made_for, self._grows = made_for, grows
        self._journal = _recalled(folder, made_for)
        self._recalled = self._journal is not None
        if self._journal is None or not self._cut_back(self._journal):
            self.clear()

    @property
    def frame(self) -> Frame | None:
        """What was begun; None where nothing was."""
        return self._journal and self._journal.frame

    @property
    def made(self) -> Made | None:
        """What is finished and only has to be presented."""
        return self._journal and self._journal.made

    @property
    def rows(self) -> int:
        """How many rows are on disk."""
        return sum(part.rows for part in self._begun.parts)

    @property
    def goes_on(self) -> Position:
        """Where the next part begins."""
        parts = self._begun.parts
        return parts[-1].goes_on if parts else self._begun.frame.start

    @property
    def _begun(self) -> _Journal:
        if self._journal is None:
            raise ValueError("nothing is begun")
        return self._journal

    def clear(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self._journal = None

    def begin(self, frame: Frame, head: bytes) -> None:
        """Hold the export to a frame; `head` stands before its rows."""
        self._journal = _Journal(self._made_for, frame, [], None)
        if head:
            path = self.folder / "head"
            path.write_bytes(head)
            self.add(path, 0, frame.start)
        else:
            self._write(self._journal)

    def add(self, path: Path, rows: int, goes_on: Position) -> None:
        """Take a file as the next part, once it is on disk; it is gone from its place then."""
        journal = self._begun
        with path.open("rb") as file:
            if self._grows:
                with (self.folder / _GROWING).open("ab") as growing:
                    size, sha256 = _read(file, growing)
                    growing.flush()
                    os.fsync(growing.fileno())
            else:
                size, sha256 = _read(file)
                os.fsync(file.fileno())
        if self._grows:
            path.unlink()
        else:
            path.replace(self._paths(len(journal.parts) + 1)[-1])
        self._write(journal._replace(parts=[*journal.parts, Part(rows, size, sha256, goes_on)]))

    def note_made(self, made: Made) -> None:
        """Remember that the file has its name, and remove everything but it."""
        self._write(self._begun._replace(made=made))
        self._keep({*(name for name, _ in _files(made)), _JOURNAL})

    def forget(self) -> None:
        """Remove the journal, once the export is presented."""
        (self.folder / _JOURNAL).unlink(missing_ok=True)

    def paths(self) -> list[Path]:
        """The files of the parts, in their order. Raises Spoiled when one is not what an earlier attempt wrote."""
        parts = self._begun.parts
        paths = self._paths(len(parts))
        if self._recalled:
            _verify(paths, parts)
        return paths

    def _paths(self, count: int) -> list[Path]:
        """Where so many parts lie."""
        if self._grows:
            return [self.folder / _GROWING] if count else []
        return [self.folder / f"{number:06}.parquet" for number in range(count)]

    def _write(self, journal: _Journal) -> None:
        path = self.folder / f"{_JOURNAL}.part"
        with path.open("wb") as file:
            file.write(msgspec.json.encode(journal))
            file.flush()
            os.fsync(file.fileno())
        path.replace(self.folder / _JOURNAL)
        self._journal = journal

    def _cut_back(self, journal: _Journal) -> bool:
        """Remove what the journal does not name; False when what it names is not there."""
        paths = self._paths(len(journal.parts))
        sizes = [part.size for part in journal.parts]
        if journal.made is not None:
            paths = [self.folder / name for name, _ in _files(journal.made)]
            sizes = [size for _, size in _files(journal.made)]
        elif self._grows and paths:
            sizes = [sum(sizes)]
        try:
            if any(path.stat().st_size < size for path, size in zip(paths, sizes, strict=True)):
                return False
        except FileNotFoundError:
            return False
        for path, size in zip(paths, sizes, strict=True):
            os.truncate(path, size)
        self._keep({*(path.name for path in paths), _JOURNAL})
        return True

    def _keep(self, names: set[str]) -> None:
        for entry in self.folder.iterdir():
            if entry.name not in names:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _recalled(folder: Path, made_for: str) -> _Journal | None:
    try:
        journal = msgspec.json.decode((folder / _JOURNAL).read_bytes(), type=_Journal)
    except (OSError, msgspec.DecodeError):
        return None
    return journal if journal.made_for == made_for else None


def _files(made: Made) -> list[tuple[str, int]]:
    """The names and the sizes of what was made."""
    return [(file["name"], file["bytes"]) for file in json.loads(made.manifest)["files"]]


def _verify(paths: Sequence[Path], parts: Sequence[Part]) -> None:
    """Hold every part against its digest, whether each has a file of its own or all have one. Raises Spoiled."""
    left = list(parts)
    for path in paths:
        with path.open("rb") as file:
            for part in left if len(paths) == 1 else left[:1]:
                if _read(file, size=part.size) != (part.size, part.sha256):
                    raise Spoiled
        left = left[1:]


def _read(file: BinaryIO, copy: BinaryIO | None = None, size: int | None = None) -> tuple[int, str]:
    """Read a file, or so many bytes of it, and copy them if wanted: how many they were, and their digest."""
    digest, count = hashlib.sha256(), 0
    while size is None or count < size:
        chunk = file.read(_CHUNK_BYTES if size is None else min(_CHUNK_BYTES, size - count))
        if not chunk:
            break
        digest.update(chunk)
        count += len(chunk)
        if copy is not None:
            copy.write(chunk)
    return count, digest.hexdigest()


def digest_of(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return _read(file)[1]
