"""Passwords of links: kept as argon2id hashes, a few hashed at a time, since each takes memory and time.

Parameters: the first choice of OWASP's Password Storage Cheat Sheet (19 MiB, 2 passes, 1 lane).
"""

from __future__ import annotations

import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

PASSWORD_CHARS_MAX = 128
AT_ONCE_MAX = 4

_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_turn = threading.BoundedSemaphore(AT_ONCE_MAX)


def hashed(password: str) -> str:
    """The encoded hash of a password, with a salt of its own: a password set again is another hash."""
    with _turn:
        return _hasher.hash(password.encode("utf-8", "surrogatepass"))


def matches(password_hash: str, password: str) -> bool:
    """Whether this is the password."""
    with _turn:
        try:
            return _hasher.verify(password_hash, password.encode("utf-8", "surrogatepass"))
        except (VerificationError, InvalidHashError):
            return False
