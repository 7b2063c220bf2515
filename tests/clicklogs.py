"""Click logs for tests: files with rows that a test makes up."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from nimriz.base import ids
from nimriz.core.clicks import clicks
from nimriz.core.clicks.clicks import Click, ClickRow, Context
from nimriz.core.clicks.judgments import REASON, STANDING
from nimriz.store.migrate import migrate
from nimriz.store.sqlite import Sqlite


def opened(path: Path) -> Sqlite:
    """An empty click log."""
    log = Sqlite(path)
    migrate(log, "clicks", 0)
    return log


def click(at_ms: int, link_id: str = "l", workspace_id: str = "w", crawler: int = 0, tracked: int = 1) -> Click:
    """A click with an id of its own."""
    return Click(ids.new_id(at_ms), workspace_id, link_id, "d", at_ms, 0, tracked, "", crawler, "shop.example",
                 "short_link_click", "", "", "", "", "", "", "")  # fmt: skip


def write(
    log: Sqlite, *made: Click, visitor: bytes | None = None, purpose: str = "", tags: str = "[]", network: str = ""
) -> list[int]:
    """Write clicks; their numbers."""
    first = log.read(clicks.newest) + 1
    rows: list[ClickRow] = [
        (seq, *one, *Context(purpose=purpose, network=network, visitor=visitor, tags=tags))
        for seq, one in enumerate(made, first)
    ]
    log.write(partial(clicks.append, rows=rows))
    return list(range(first, first + len(rows)))


def standing(log: Sqlite) -> dict[int, tuple[str, str]]:
    """What stands, by the number of the click; a person's clicks without a reason are left out."""
    rows = log.read(lambda tx: tx.all(f"select seq, {STANDING}, {REASON} from clicks where {REASON} <> ''"))
    return {row[0]: (row[1], row[2]) for row in rows}


def count_of(log: Sqlite, table: str) -> int:
    """How many rows a table has."""
    return int(log.read(lambda tx: tx.all(f"select count(*) from {table}"))[0][0])
