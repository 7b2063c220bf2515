"""One statement for many rows, and one question about many keys: the same SQL text, made wider.

Every call into an engine gives other threads their turn, which costs far more than the row itself. So a
statement for one row is widened for up to 256 at once: two or three statements take a batch of any size, and
the few widths keep the statement cache small. Texts come from this program alone; values are always bound.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TypeVar

WIDTHS = (256, *range(128, 8, -8), *range(8, 0, -1))
# What a driver keeps prepared is bounded by the length of the text: 16 KiB for apsw. A longer statement would be
# prepared each time, which costs more than its rows.
_VARIABLES_MAX = 5_000
_VALUES = re.compile(r"values \(((?::\w+)(?:, :\w+)*)\)")
_KEYS = "in (:keys)"

Value = TypeVar("Value")


@lru_cache(maxsize=512)
def values_names(sql: str) -> tuple[str, ...]:
    """The names in `values (:a, :b)`, in order; empty for a statement of another shape."""
    found = _VALUES.search(sql)
    return tuple(name[1:] for name in found[1].split(", ")) if found else ()


@lru_cache(maxsize=512)
def for_rows(sql: str, count: int) -> str:
    """The insert for `count` rows, its values as `?` in the order of its names."""
    one = "(" + ", ".join("?" for _ in values_names(sql)) + ")"
    return _VALUES.sub("values " + ", ".join([one] * count), sql, count=1)


@lru_cache(maxsize=512)
def for_keys(sql: str, count: int) -> str:
    """The query whose `in (:keys)` takes `count` keys, named :k0, :k1, ..."""
    if _KEYS not in sql:
        raise ValueError("a query about many keys says `in (:keys)`")
    return sql.replace(_KEYS, f"in ({', '.join(f':k{n}' for n in range(count))})")


def in_widths(items: Sequence[Value], columns: int = 1) -> Iterator[Sequence[Value]]:
    """The items in slices of the few widths, none with more variables than an engine takes."""
    start = 0
    for width in WIDTHS:
        if width * columns > _VARIABLES_MAX:
            continue
        while len(items) - start >= width:
            yield items[start : start + width]
            start += width


def padded(keys: Sequence[Value]) -> Sequence[Value]:
    """The keys, the last one repeated up to the next width: asking twice costs less than a new statement."""
    width = next(w for w in reversed(WIDTHS) if w >= len(keys))
    return [*keys, *[keys[-1]] * (width - len(keys))]
