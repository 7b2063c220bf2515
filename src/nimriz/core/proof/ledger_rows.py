"""What the chain covers: the tables of the live ledger, and the bytes of a row.

The form of a row is a promise to whoever writes a verifier of their own; docs/reference/ledger-proof.md describes it.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from nimriz.core.ledger.attribution import Click, Verdict
from nimriz.core.ledger.exclusions import Exclusion
from nimriz.core.ledger.ledger import Outcome
from nimriz.core.ledger.settlement import Settlement
from nimriz.store.db import Row, Scalar

_encode = msgspec.json.Encoder().encode
_WRITTEN_AS_THEY_ARE = frozenset({int, str, type(None)})


class Table(NamedTuple):
    """One table: its name, and its columns in the order of the promise."""

    name: str
    columns: tuple[str, ...]

    @property
    def select(self) -> str:
        """SQL: a page of rows, in the order in which they were committed."""
        return (
            f"select {', '.join(self.columns)} from {self.name} where seq > :after_seq and seq <= :upto_seq "
            "order by seq limit :limit_count"
        )

    def value(self, row: Row, column: str) -> Scalar:
        """A row's value; None for a column that the table has not."""
        if column not in self.columns:
            return None
        value: Scalar = row[self.columns.index(column)]
        return value


TABLES = (
    Table("outcomes", ("seq", *Outcome._fields)),
    Table("verdicts", ("seq", "workspace_id", "event_id", "judged_at_ms", *Verdict._fields)),
    Table("settlements", ("seq", "workspace_id", "event_id", "judged_at_ms", *Settlement._fields)),
    Table("movements", ("seq", "workspace_id", "event_id", "sale_event_id", "amount_minor", "moved_at_ms")),
    Table("ties", ("seq", "workspace_id", "person_id", *Click._fields, "from_ms", "event_id", "tied_at_ms")),
    Table("exclusions", ("seq", *Exclusion._fields)),
)
NAMES = tuple(table.name for table in TABLES)


def to_bytes(name: str, row: Row) -> bytes:
    """A row as compact JSON: the table, seq, and the other columns in their order.

    Bytes stand as hexadecimal digits in an array of their own. So would anything that the schema does not foresee, so
    that no two different rows are written alike.
    """
    if not _WRITTEN_AS_THEY_ARE.issuperset(map(type, row)):
        row = tuple(value if type(value) in _WRITTEN_AS_THEY_ARE else [_told(value)] for value in row)
    return _encode((name, *row))


def _told(value: object) -> str:
    return value.hex() if isinstance(value, (bytes, float)) else repr(value)
