"""Live and test: the same ledger twice, in tables of its own each.

SQL that concerns a ledger is written once, with `@` before the tables that exist twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Mode = Literal["live", "test"]
MODES: tuple[Mode, ...] = ("live", "test")


def by_mode(sql: str) -> Mapping[str, str]:
    """The statement for each mode: `@outcomes` is `outcomes` or `test_outcomes`."""
    return {"live": sql.replace("@", ""), "test": sql.replace("@", "test_")}
