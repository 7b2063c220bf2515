"""A table of notes: the least that a database can hold."""

from __future__ import annotations

from nimriz.store.db import Tx
from nimriz.store.sqlite import Sqlite

CREATE = "create table notes (seq integer primary key, body text not null)"


def add(database: Sqlite, body: str = "a note") -> None:
    """Write one note."""
    database.write(lambda tx: tx.run("insert into notes (body) values (:body)", {"body": body}))


def bodies(tx: Tx) -> list[str]:
    """Every note, in order."""
    return [row[0] for row in tx.all("select body from notes order by seq")]
