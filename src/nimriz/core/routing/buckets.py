"""Buckets: which of an experiment's variants a visitor falls to, the same one every time.

What a request shows is hashed with the experiment's own salt into one of 100 buckets, a hundredth of all visitors each,
and a table says which variant a bucket belongs to. The hash is never stored. When weights change, only as many buckets
change hands as the new weights ask for, so nobody else moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import accumulate, pairwise

BUCKETS = 100
VARIANTS_MAX = 10
SALT_BYTES = 16
_HASH_BYTES = 8

Holdings = list[list[int]]
"""The buckets of each variant, those that it got last at the end."""


def bucket_of(salt: bytes, shown: bytes) -> int:
    """The bucket, 0 to 99, of whoever shows this. 64 bits of BLAKE2b: no bucket is larger by more than 10**-17."""
    hashed = _begun(salt).copy()
    hashed.update(shown)
    return int.from_bytes(hashed.digest(), "big") % BUCKETS


@lru_cache(maxsize=4_096)
def _begun(salt: bytes) -> blake2b:
    # Taken in once: to begin a hash costs more than to finish it.
    return blake2b(digest_size=_HASH_BYTES, salt=salt)


def dealt(weights: Sequence[int]) -> Holdings:
    """The buckets of each variant of a new experiment.

    `weights` are whole percents, at most VARIANTS_MAX, that sum to 100; ValueError otherwise.
    """
    _check(weights)
    ends = list(accumulate(weights, initial=0))
    return [list(range(begins, end)) for begins, end in pairwise(ends)]


def dealt_again(holdings: Holdings, weights: Sequence[int]) -> Holdings:
    """The buckets after a change of weights: no variant gives up one that it may keep, and the newest go first.

    So the share of visitors who move is half the sum of all changes, the least possible. ValueError as in `dealt`.
    """
    _check(weights)
    both = list(zip(holdings, weights, strict=True))
    free = [bucket for held, weight in both for bucket in reversed(held[weight:])]
    after = []
    for held, weight in both:
        wanted = max(0, weight - len(held))
        after.append([*held[:weight], *free[:wanted]])
        del free[:wanted]
    return after


def table(holdings: Holdings) -> bytes:
    """For each bucket the place of the variant that has it."""
    places = bytearray(BUCKETS)
    for place, held in enumerate(holdings):
        for bucket in held:
            places[bucket] = place
    return bytes(places)


def _check(weights: Sequence[int]) -> None:
    if not 1 <= len(weights) <= VARIANTS_MAX or min(weights) < 0 or sum(weights) != BUCKETS:
        raise ValueError("weights are whole percents that sum to 100")
