"""What every floor above sees of a database: a transaction, and two verbs.

`read(fn)` runs `fn(tx)` against one consistent snapshot; `write(fn)` runs it in a transaction that is
on disk when `write` returns, or was never there. `fn` must be re-runnable: it takes what it needs as
arguments and changes nothing but the transaction.

SQL is written in the subset that SQLite and PostgreSQL share: lower case, `:name` parameters, columns
listed, ids made by us, `on conflict`, no nulls in keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

Scalar = str | int | bytes | None
# A row's types are known to the statement that asks for it, and to nobody else.
Row = tuple[Any, ...]
Params = Mapping[str, Scalar]
Result = TypeVar("Result")

NO_PARAMS: Params = {}


class StoreError(Exception):
    """The store could not do it; whether a commit took place may be unknown."""


class Tx(Protocol):
    """One transaction."""

    def all(self, sql: str, params: Params = NO_PARAMS) -> list[Row]:
        """Every row of a query."""

    def one(self, sql: str, params: Params = NO_PARAMS) -> Row | None:
        """The first row of a query, or None."""

    def run(self, sql: str, params: Params = NO_PARAMS) -> None:
        """A statement whose rows nobody wants."""

    def many(self, sql: str, rows: Iterable[Params | Sequence[Scalar]]) -> None:
        """One statement for many rows: mappings, or values in the order in which the names appear."""

    def each(self, sql: str, keys: Sequence[Scalar], params: Params = NO_PARAMS) -> list[Row]:
        """Every row of a query that says `in (:keys)`, in no order; a key that stands twice counts once."""


class Database(Protocol):
    """A database with its two verbs; both raise StoreError when the engine fails."""

    def read(self, fn: Callable[[Tx], Result]) -> Result:
        """Run `fn` against one snapshot."""

    def write(self, fn: Callable[[Tx], Result]) -> Result:
        """Run `fn` in a durable transaction."""

    def close(self) -> None:
        """Give everything back."""


class Purgeable(Database, Protocol):
    """A database from whose files it can be made sure that something is gone."""

    def purge(self, remains: Sequence[bytes] | None, tables: Sequence[str], wait_s: float) -> bool:
        """See to it that bytes which were deleted from `tables` are in no file any more.

        `remains` are such bytes; None when they are not known any more, which takes longer. False when a reader of an
        older state has kept that from being done for `wait_s` seconds: ask again later.
        """
