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
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def uuid7_bytes(now_ms: int) -> bytes:
    """A new UUIDv7 of 16 bytes whose time is `now_ms` (the service's clock, never the machine's)."""
    tail = int.from_bytes(os.urandom(10), "big")
    return (
        (now_ms & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | (tail >> 68) << 64 | 0x2 << 62 | (tail & 0x3FFF_FFFF_FFFF_FFFF)
    ).to_bytes(16, "big")


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


def new_reference() -> str:
    """A support reference: short enough to read out, and unique."""
    return "req_" + os.urandom(12).hex()


def new_slug() -> str:
    """A random slug of 7 characters without look-alikes."""
    return "".join(secrets.choice(SLUG_ALPHABET) for _ in range(SLUG_GENERATED_CHARS))
