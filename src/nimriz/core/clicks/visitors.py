"""Visitors: a hash that tells one day's visitors of a workspace apart, and tells nobody who they are.

Owns the file of the day's key. The hash is keyed (BLAKE2b) over workspace, address and user agent; the key is random,
made for one day (UTC), the same in all processes, and overwritten in its file when its day is over. Then nobody, we
included, can find out whom a hash meant, or tell that two days' hashes meant the same visitor.

A key is made up to LEAD_MS before its day, so that at midnight nobody waits for the disk and all agree. It serves
from then to the end of its day, also when the clock is put back a little across midnight.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path

import structlog

from nimriz.base.clock import DAY_MS

HASH_BYTES = 8
KEY_BYTES = 16
LEAD_MS = 600_000
USER_AGENT_BYTES_MAX = 512

# The file: two slots, each a day (days since 1970) and its key, then a checksum. An empty slot is zeros.
_SLOT = struct.Struct(f">i{KEY_BYTES}s")
_SLOTS = 2
_CHECKSUM_BYTES = 16
_FILE_BYTES = _SLOTS * _SLOT.size + _CHECKSUM_BYTES
_EMPTY = bytes(_SLOT.size)

log = structlog.get_logger()


class DayKeys:
    """The key of the day, from a file that all processes of an installation share."""

    def __init__(self, path: Path, now_ms: int) -> None:
        """Read or make the key of the day; raises OSError. Put `path` where no backup takes it."""
        self._path = path
        self._keys: Mapping[int, bytes] = {}
        self._begun: Mapping[int, blake2b] = {}
        self._failing = False
        self._take(self._agree(now_ms))

    def _take(self, keys: Mapping[int, bytes]) -> None:
        self._keys = keys
        # A hash begins with its key, which is taken in once: every visitor goes on from there.
        self._begun = {day: blake2b(digest_size=HASH_BYTES, key=key) for day, key in keys.items()}

    def hash(self, now_ms: int, workspace_id: str, address: str, user_agent: bytes) -> bytes:
        """HASH_BYTES that are the same for one visitor of one workspace all day; b'' when no key is known.

        No key is known for a day that is over, nor while the disk refuses a new one, nor until the first `refresh`
        after a long sleep. Never touches the disk.
        """
        begun = self._begun.get(now_ms // DAY_MS) or self._begun.get((now_ms + LEAD_MS) // DAY_MS)
        if begun is None:
            return b""
        # Neither an id nor an address has a NUL in it, so no two visitors make the same message.
        visitor = f"{workspace_id}\0{address}\0".encode("utf-8", "surrogatepass")
        hashed = begun.copy()
        hashed.update(visitor + user_agent[:USER_AGENT_BYTES_MAX])
        return hashed.digest()

    def refresh(self, now_ms: int) -> None:
        """Destroy keys whose day is over and make what is missing; for every second or so, in the background.

        Most of the time there is nothing to do. What the disk refuses is logged once and tried again.
        """
        if self._keys.keys() == _days(now_ms):
            return
        try:
            self._take(self._agree(now_ms))
            self._failing = False
        except OSError as error:
            self._take({day: key for day, key in self._keys.items() if day in _days(now_ms)})
            if not self._failing:
                log.error("day_key_not_kept", error=error.strerror)
            self._failing = True

    def _agree(self, now_ms: int) -> dict[int, bytes]:
        """The keys that may be used now: those in the file, new ones where there is none. All others are overwritten.

        In place, since a new file would leave the old one's bytes on the disk. Raises OSError.
        """
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            found = _read(os.pread(handle, _FILE_BYTES + 1, 0))
            keys = _succeed(found, _days(now_ms))
            if keys != found:
                os.fchmod(handle, 0o600)
                os.pwrite(handle, _written(keys), 0)
                os.ftruncate(handle, _FILE_BYTES)
            os.fsync(handle)  # Also for what another process wrote a moment ago.
            return keys
        finally:
            os.close(handle)


def _days(now_ms: int) -> set[int]:
    """The days whose keys may be there now: today's, and shortly before midnight tomorrow's."""
    return {now_ms // DAY_MS, (now_ms + LEAD_MS) // DAY_MS}


def _succeed(found: Mapping[int, bytes], days: set[int]) -> dict[int, bytes]:
    """Of the keys found those of these days, and new ones where they are missing.

    Where tomorrow's is there and today's is not, the clock was put back across midnight. Today's key was destroyed
    and is not replaced: tomorrow's serves already.
    """
    keys = {day: key for day, key in found.items() if day in days}
    if max(days) not in keys:
        keys |= {day: os.urandom(KEY_BYTES) for day in sorted(days - keys.keys())}
    return keys


def _written(keys: Mapping[int, bytes]) -> bytes:
    slots = b"".join(_SLOT.pack(day, keys[day]) for day in sorted(keys)).ljust(_SLOTS * _SLOT.size, b"\0")
    return slots + _checksum(slots)


def _read(content: bytes) -> dict[int, bytes]:
    """The keys in a file; none in one that is new, or that a crash left half written."""
    slots = content[:-_CHECKSUM_BYTES]
    if len(content) != _FILE_BYTES or content != slots + _checksum(slots):
        return {}
    return dict(_SLOT.unpack(slot) for slot in (slots[: _SLOT.size], slots[_SLOT.size :]) if slot != _EMPTY)


def _checksum(slots: bytes) -> bytes:
    return blake2b(slots, digest_size=_CHECKSUM_BYTES).digest()
