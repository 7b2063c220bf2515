"""Click logs for tests: files with rows that a test makes up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from nimriz.base import ids
from nimriz.core.clicks import clicks
from nimriz.core.clicks.clicks import Facts
from nimriz.core.clicks.contexts import Contexts
from nimriz.core.clicks.judgments import REASON, STANDING
from nimriz.core.clicks.places import Place
from nimriz.core.clicks.quality import HUMAN
from nimriz.store.db import Database, Tx
from nimriz.store.migrate import migrate
from nimriz.store.sqlite import Sqlite

FACTS = Facts("w", "l", "d", 0, 1, "", 0, "shop.example", "short_link_click", "", "", "", "", "", "", "", "[]")


class Made(NamedTuple):
    """A click that a test made up."""

    click_id: str
    clicked_at_ms: int
    facts: Facts
    visitor: bytes | None = None
    country: str = ""
    purpose: str = ""
    network: str = ""

    @property
    def workspace_id(self) -> str:
        """Whose it is."""
        return self.facts.workspace_id


def opened(path: Path) -> Sqlite:
    """An empty click log."""
    log = Sqlite(path)
    migrate(log, "clicks", 0)
    return log


def click(at_ms: int, link_id: str = "l", workspace_id: str = "w", crawler: int = 0, tracked: int = 1) -> Made:
    """A click with an id of its own."""
    facts = FACTS._replace(workspace_id=workspace_id, link_id=link_id, crawler=crawler, tracked=tracked)
    return Made(ids.new_id(at_ms), at_ms, facts)


def write(
    log: Sqlite, *made: Made, visitor: bytes | None = None, purpose: str = "", tags: str = "[]", network: str = ""
) -> list[int]:
    """Write clicks that have this in common; their numbers."""
    alike = [
        one._replace(visitor=visitor, purpose=purpose, network=network, facts=one.facts._replace(tags=tags))
        for one in made
    ]
    return append(log, alike)


def append(log: Database, made: Sequence[Made], first_seq: int = 0) -> list[int]:
    """Write clicks; their numbers, from the next one on where none is given."""
    contexts = Contexts()
    log.read(contexts.recall)
    seqs = range(first_seq or log.read(clicks.newest) + 1, 1 << 62)[: len(made)]
    rows = []
    for seq, one in zip(seqs, made, strict=True):
        alike = (one.facts, Place(one.country, "", ""), "", one.purpose, one.network, HUMAN, None)
        context_id, workspace_no = contexts.begin(one.clicked_at_ms).get(alike) or contexts.add(alike)
        rows.append((seq, ids.to_bytes(one.click_id), workspace_no, one.clicked_at_ms, one.visitor, context_id))

    def written(tx: Tx) -> None:
        contexts.append(tx)
        clicks.append(tx, rows)

    log.write(written)
    return list(seqs)


def standing(log: Sqlite) -> dict[int, tuple[str, str]]:
    """What stands, by the number of the click; a person's clicks without a reason are left out."""
    rows = log.read(lambda tx: tx.all(f"select seq, {STANDING}, {REASON} from clicks where {REASON} <> ''"))
    return {row[0]: (row[1], row[2]) for row in rows}


def count_of(log: Sqlite, table: str) -> int:
    """How many rows a table has."""
    return int(log.read(lambda tx: tx.all(f"select count(*) from {table}"))[0][0])
