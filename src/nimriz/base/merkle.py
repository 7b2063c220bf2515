"""Merkle trees over SHA-256, as RFC 9162 (Certificate Transparency 2.0) section 2.1 defines them."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

_LEAF = b"\x00"
_NODE = b"\x01"


def leaf(data: bytes) -> bytes:
    """The hash of one entry."""
    return sha256(_LEAF + data).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """The head of the tree over hashes of entries; of none, the hash of nothing."""
    level = list(leaves)
    while len(level) > 1:
        level = _above(level)
    return level[0] if level else sha256(b"").digest()


def path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """What must be known beside one leaf to come to the head, from the bottom up. Raises IndexError."""
    if not 0 <= index < len(leaves):
        raise IndexError("no such leaf")
    level, found = list(leaves), []
    while len(level) > 1:
        beside = index ^ 1
        if beside < len(level):
            found.append(level[beside])
        level, index = _above(level), index // 2
    return found


def head_of(hashed: bytes, index: int, size: int, beside: Sequence[bytes]) -> bytes:
    """The head of a tree of `size` leaves whose leaf `index` is `hashed`. Raises ValueError for another path."""
    if not 0 <= index < size:
        raise ValueError("no such leaf")
    waiting = list(reversed(beside))
    while size > 1:
        if index ^ 1 < size:
            if not waiting:
                raise ValueError("too short a path")
            other = waiting.pop()
            hashed = sha256(_NODE + (other + hashed if index & 1 else hashed + other)).digest()
        index, size = index // 2, (size + 1) // 2
    if waiting:
        raise ValueError("too long a path")
    return hashed


def _above(level: Sequence[bytes]) -> list[bytes]:
    # The last of an odd number goes up as it is, which is the tree that the RFC splits from above.
    above = [sha256(_NODE + a + b).digest() for a, b in zip(level[::2], level[1::2], strict=False)]
    return [*above, level[-1]] if len(level) % 2 else above
