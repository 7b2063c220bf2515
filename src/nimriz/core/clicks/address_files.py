"""Address files: `.mmdb` files that the operator brings, which tell something of an address.

A newer file is taken up while lookups go on; a broken one is not, and the old one stays. Never stores an address.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import maxminddb
import structlog
from maxminddb.types import Record

_TRIED_COUNT = 200

log = structlog.get_logger()


class AddressFileRefused(Exception):
    """The file cannot be used; a sentence says why."""


class Kind(NamedTuple):
    """What a file is of: its name, whether a record of it is of use, and what is said when none is."""

    name: str
    useful: Callable[[Record | None], bool]
    useless: str


class _State(NamedTuple):
    """What tells one file from the next under the same name."""

    inode: int
    size: int
    changed_ns: int


class AddressFile:
    """Answers with the record of an address. Lookups from any thread; `refresh` from one."""

    def __init__(self, path: Path | None, kind: Kind) -> None:
        """Read the file; without a path nothing is known. Raises AddressFileRefused."""
        self._path = path
        self._kind = kind
        self._reader: maxminddb.Reader | None = None
        self._seen: _State | None = None
        self._broken = False
        if path is not None:
            self._reader, self._seen = _load(path, kind)

    def get(self, address: str) -> Record | None:
        """The record of an address, None for any other text. Never raises, never reads the operator's file."""
        if self._reader is None:
            return None
        try:
            return self._reader.get(address)
        except Exception:  # No address, one that the file does not cover, or whatever a damaged record may bring.
            return None

    def refresh(self) -> None:
        """Take up a newer file; for every second or so, in the background. A file that is gone is no error.

        A file that cannot be used is logged once, and looked at again when it has changed.
        """
        if self._path is None:
            return
        try:
            state = _state(os.stat(self._path))
        except OSError:
            return
        if state == self._seen:
            return
        try:
            self._reader, self._seen = _load(self._path, self._kind)
        except AddressFileRefused as refused:
            self._seen = state
            if not self._broken:
                log.warning("address_file_not_reloaded", error=str(refused))
            self._broken = True
            return
        self._broken = False
        log.info("address_file_reloaded", of=self._kind.name)


def _load(path: Path, kind: Kind) -> tuple[maxminddb.Reader, _State]:
    """Open a private copy, so that whoever writes into the file cannot pull it away under a lookup (SIGBUS).

    Raises AddressFileRefused, also for a file that is being written while it is read.
    """
    name = f"the file of {kind.name}"
    try:
        with path.open("rb") as file, tempfile.NamedTemporaryFile(prefix=f"nimriz-{kind.name}-") as copy:
            state = _state(os.fstat(file.fileno()))
            shutil.copyfileobj(file, copy, 1024 * 1024)
            copy.flush()
            if _state(os.fstat(file.fileno())) != state or copy.tell() != state.size:
                raise AddressFileRefused(f"{name} is being written")
            # The slow reader, since the quick one may corrupt our memory when it walks through a damaged file.
            with maxminddb.open_database(copy.name, maxminddb.MODE_MMAP) as walked:
                if not any(kind.useful(record) for _, record in islice(walked, _TRIED_COUNT)):
                    raise AddressFileRefused(f"{name} knows no {kind.useless}")
            # Mapped or read as a whole: then the copy may go.
            return maxminddb.open_database(copy.name, maxminddb.MODE_AUTO), state
    except OSError as error:
        raise AddressFileRefused(f"{name} cannot be read ({error.strerror})") from None
    except AddressFileRefused:
        raise
    except Exception:
        raise AddressFileRefused(f"{name} is broken, or no .mmdb file") from None


def _state(found: os.stat_result) -> _State:
    return _State(found.st_ino, found.st_size, found.st_mtime_ns)
