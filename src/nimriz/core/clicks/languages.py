"""Languages: which one a visitor's browser asks for first."""

from __future__ import annotations

import re
from functools import lru_cache

HEADER_BYTES_MAX = 512
RANGES_MAX = 16
_REMEMBERED_MAX = 2_048

# A language range and its weight: RFC 4647 section 2.1, RFC 9110 sections 12.4.2 and 12.5.4. Only the primary subtag
# is kept, where ISO 639 knows it by two or three letters; "*" and "i-…" say no language.
_RANGE = re.compile(
    rb"[ \t]*([A-Za-z]{2,3})(?:-[A-Za-z0-9]{1,8})*[ \t]*(?:;[ \t]*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)[ \t]*)?"
)


def first_language(accept_language: bytes) -> str:
    """The language with the highest weight, the first of equals, as `de` or `fil`; '' when there is none.

    Only the first HEADER_BYTES_MAX bytes and RANGES_MAX ranges are read. Any bytes may come.
    """
    return _first(accept_language[: HEADER_BYTES_MAX + 1])


@lru_cache(maxsize=_REMEMBERED_MAX)
def _first(text: bytes) -> str:
    if len(text) > HEADER_BYTES_MAX:
        text = text.rpartition(b",")[0]  # The last range was cut, its weight perhaps too.
    best, heaviest = b"", 0.0
    for part in text.split(b",", RANGES_MAX)[:RANGES_MAX]:
        match = _RANGE.fullmatch(part)
        if match is None:
            continue
        weight = float(match[2] or 1)
        if weight > heaviest:
            best, heaviest = match[1], weight
    return best.decode("ascii").lower()
