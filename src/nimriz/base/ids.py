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
# What follows the 48 bits of time in RFC 9562: version 7, 12 random bits, variant 2, 62 random bits.
_TAIL_BYTES = 10
_TAILS = 256
_RANDOM_BITS = int.from_bytes(bytes.fromhex("0fff3fffffffffffffff") * _TAILS, "big")
_VERSIONS_AND_VARIANTS = int.from_bytes(bytes.fromhex("70008000000000000000") * _TAILS, "big")
# Taken from by several threads: list.pop and list.extend are atomic, and no tail is ever handed out twice.
_tails: list[bytes] = []
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def uuid7_bytes(now_ms: int) -> bytes:
    """A new UUIDv7 of 16 bytes whose time is `now_ms` (the service's clock, never the machine's)."""
    return now_ms.to_bytes(6, "big") + _tail()


def _tail() -> bytes:
    """Made many at a time: asking the system costs more than the bytes, and their fixed bits are set together."""
    while True:
        try:
            return _tails.pop()
        except IndexError:
            _tails.extend(_new_tails())


def _new_tails() -> list[bytes]:
    drawn = int.from_bytes(os.urandom(_TAIL_BYTES * _TAILS), "big")
    tails = (drawn & _RANDOM_BITS | _VERSIONS_AND_VARIANTS).to_bytes(_TAIL_BYTES * _TAILS, "big")
    return [tails[at : at + _TAIL_BYTES] for at in range(0, len(tails), _TAIL_BYTES)]


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
    _tails.clear()


os.register_at_fork(after_in_child=_forget_pool)


def new_reference() -> str:
    """A support reference: short enough to read out, and unique."""
    return "req_" + os.urandom(12).hex()


def timed_reference(now_ms: int) -> str:
    """A support reference that sorts by its millisecond, for what is kept and found by it."""
    return f"req_{now_ms:012x}{_tail()[-6:].hex()}"


def first_reference(now_ms: int) -> str:
    """What sorts before every timed reference of this millisecond and later."""
    return f"req_{now_ms:012x}"


def new_slug() -> str:
    """A random slug of 7 characters without look-alikes."""
    return "".join(secrets.choice(SLUG_ALPHABET) for _ in range(SLUG_GENERATED_CHARS))
