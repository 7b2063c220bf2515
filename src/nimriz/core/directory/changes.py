"""Changes: a note for every process that something which it may remember is no longer so.

Owns the table changes. Whoever changes a link, a domain, a secret, a key or a plan notes it in the same
transaction; every process reads the notes several times a second and forgets what they name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from nimriz.store.db import Tx

Topic = Literal["link", "domain", "secret", "key", "workspace", "blocklist"]
KEPT_MS = 3_600_000


class Change(NamedTuple):
    """One note: what kind of thing changed, and which."""

    seq: int
    topic: str
    subject: str


def note(tx: Tx, topic: Topic, subject: str, now_ms: int) -> None:
    """Note a change; it is visible to others when the transaction is."""
    tx.run(
        "insert into changes (topic, subject, changed_at_ms) values (:topic, :subject, :now_ms)",
        {"topic": topic, "subject": subject, "now_ms": now_ms},
    )


def note_many(tx: Tx, topic: Topic, subjects: Sequence[str], now_ms: int) -> None:
    """Note changes of one kind."""
    tx.many(
        "insert into changes (topic, subject, changed_at_ms) values (:topic, :subject, :now_ms)",
        [(topic, subject, now_ms) for subject in subjects],
    )


def newest(tx: Tx) -> int:
    """The number of the newest note; 0 when there is none."""
    row = tx.one("select max(seq) from changes")
    return 0 if row is None or row[0] is None else int(row[0])


def since(tx: Tx, seq: int, limit: int) -> list[Change]:
    """At most `limit` notes after number `seq`, oldest first."""
    rows = tx.all(
        "select seq, topic, subject from changes where seq > :seq order by seq limit :limit_count",
        {"seq": seq, "limit_count": limit},
    )
    return [Change(int(row[0]), str(row[1]), str(row[2])) for row in rows]


def forget_old(tx: Tx, now_ms: int) -> None:
    """Drop notes that everybody has read; the newest stays, so that numbers are never given twice."""
    tx.run(
        "delete from changes where changed_at_ms < :before_ms and seq < (select max(seq) from changes)",
        {"before_ms": now_ms - KEPT_MS},
    )
