"""Ids: UUIDv7 (RFC 9562), made by us, as lower-case text; and references for support.

Text ids of one kind sort by the millisecond in which they were made, byte for byte.
"""

from __future__ import annotations

import os
import re
import secrets

# No look-alikes: no 0 and O, no 1, l and I.
SLUG_ALPHABET = "23456789abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ"
SLUG_GENERATED_CHARS = 7
_VERSION_AND_VARIANT = 0x7 << 76 | 0x2 << 62
_RANDOM_BITS = 0xFFF << 64 | 0x3FFF_FFFF_FFFF_FFFF
_POOL_BYTES = 4_096
_SLICE_BYTES = 16
# Taken from by several threads: list.pop and list.extend are atomic, and no slice is ever handed out twice.
_pool: list[bytes] = []
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def uuid7_bytes(now_ms: int) -> bytes:
    """A new UUIDv7 of 16 bytes whose time is `now_ms` (the service's clock, never the machine's)."""
    tail = int.from_bytes(_random_bytes(10), "big")
    # The 48 bits of time, then version 7 and variant 2 in the places of RFC 9562, the rest random.
    return (now_ms << 80 | (tail & _RANDOM_BITS) | _VERSION_AND_VARIANT).to_bytes(16, "big")


def _random_bytes(count: int) -> bytes:
    """Bytes of the system's generator, fetched a page at a time: the call costs more than the bytes."""
    while True:
        try:
            return _pool.pop()[:count]
        except IndexError:
            page = os.urandom(_POOL_BYTES)
            _pool.extend(page[at : at + _SLICE_BYTES] for at in range(0, _POOL_BYTES, _SLICE_BYTES))


def to_text(raw: bytes) -> str:
    """The canonical text of 16 bytes."""
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def to_bytes(text: str) -> bytes:
    """The 16 bytes of a canonical text; raises ValueError for anything else."""
    if _UUID.fullmatch(text) is None:
        raise ValueError("not a UUID")
    return bytes.fromhex(text.replace("-", ""))


def is_id(text: str) -> bool:
    """Whether `text` is a UUID in its canonical lower-case form."""
    return _UUID.fullmatch(text) is not None


def new_id(now_ms: int) -> str:
    """A new id as text."""
    return to_text(uuid7_bytes(now_ms))


def _forget_pool() -> None:
    # A forked process must not hand out what its parent does.
    _pool.clear()


os.register_at_fork(after_in_child=_forget_pool)


def new_reference() -> str:
    """A support reference: short enough to read out, and unique."""
    return "req_" + _random_bytes(12).hex()


def timed_reference(now_ms: int) -> str:
    """A support reference that sorts by its millisecond, for what is kept and found by it."""
    return f"req_{now_ms:012x}{_random_bytes(6).hex()}"


def first_reference(now_ms: int) -> str:
    """What sorts before every timed reference of this millisecond and later."""
    return f"req_{now_ms:012x}"


def new_slug() -> str:
    """A random slug of 7 characters without look-alikes."""
    return "".join(secrets.choice(SLUG_ALPHABET) for _ in range(SLUG_GENERATED_CHARS))
