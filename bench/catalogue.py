"""The catalogue: links as marketers make them, for the API and straight into the store.

The n-th link is the same in every run; only ids and slugs differ. Each has two tags: one that it shares with
hundreds of links at most, and one that a third of all links have.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import apsw

from nimriz.core.links import drafts, links
from nimriz.core.links.links import Link
from nimriz.store.db import Tx
from nimriz.store.migrate import migrate
from nimriz.store.sqlite import Sqlite

WORDS = [
    "spring", "summer", "autumn", "winter", "launch", "offer", "bundle", "shoes", "coats", "shirts", "green",
    "blue", "red", "video", "story", "guide", "event", "ticket", "course", "trial", "gift", "travel", "coffee",
    "garden", "kitchen", "music", "book", "lamp", "chair", "window",
]  # fmt: skip
CAMPAIGNS = 1_000
_TEAMS = 3
_SHOPS = 300
# What one link leaves behind: all of it is written in one transaction.
_TABLES = ("links", "link_texts", "link_tags", "link_history", "changes")
_ROWS_PER_COMMIT = 5_000


def row(number: int, domain_id: str) -> dict[str, object]:
    """The body of a request that makes the n-th link."""
    first, second, third = (WORDS[number // step % len(WORDS)] for step in (1, 7, 211))
    return {
        "domain_id": domain_id,
        "long_url": f"https://shop-{number % _SHOPS}.example/{first}/{second}-{number:07d}?colour={third}&size=42",
        "title": f"{first.title()} {second}, number {number:07d}",
        "tags": [f"campaign-{number % CAMPAIGNS}", f"team-{number % _TEAMS}"],
        "conversion_tracking": True,
    }


def fill(data_dir: Path, workspace_id: str, domain_id: str, count: int) -> None:
    """Make links until the workspace has `count`, past the API but with everything that it writes."""
    now_ms = int(time.time() * 1000)
    with closing(Sqlite(data_dir / "records.db", secure_delete=True)) as records:
        had = len(link_ids(data_dir))
        for start in range(had, count, _ROWS_PER_COMMIT):
            numbers = range(start, min(start + _ROWS_PER_COMMIT, count))
            made = [_link(number, workspace_id, domain_id) for number in numbers]
            records.write(partial(links.create_many, drafts=made, actor="operator", now_ms=now_ms + start))


def _link(number: int, workspace_id: str, domain_id: str) -> Link:
    told = row(number, domain_id)
    long_url = str(told["long_url"])
    return drafts.blank(workspace_id, domain_id, "")._replace(
        long_url=long_url,
        canonical_url=long_url,
        title=str(told["title"]),
        tags=json.dumps(told["tags"]),
        conversion_tracking=1,
    )


def link_ids(data_dir: Path) -> list[str]:
    """Every link, oldest first."""
    return [str(row[0]) for row in _rows(data_dir, "select link_id from links order by link_id")]


def slugs(data_dir: Path) -> list[str]:
    """The slug of every link, oldest first."""
    return [str(row[0]) for row in _rows(data_dir, "select slug from links order by link_id")]


def _rows(data_dir: Path, sql: str) -> list[tuple[apsw.SQLiteValue, ...]]:
    with closing(apsw.Connection(str(data_dir / "records.db"))) as connection:
        return connection.execute(sql).fetchall()


def _insert(statements: Sequence[tuple[str, Sequence[Sequence[Any]]]], tx: Tx) -> None:
    for sql, rows in statements:
        tx.many(sql, rows)


def insert_again(data_dir: Path, path: Path, count: int, per_commit: int) -> float:
    """Seconds for the newest `count` links' rows, as they are, into an empty database of the same schema."""
    per_link: list[tuple[str, Sequence[Sequence[apsw.SQLiteValue]], int]] = []
    for table in _TABLES:
        columns = [str(row[1]) for row in _rows(data_dir, f"pragma table_info({table})") if row[1] != "seq"]
        order = "seq" if table in ("link_history", "changes") else "link_id"
        each = 2 if table == "link_tags" else 1
        found = _rows(data_dir, f"select {', '.join(columns)} from {table} order by {order} desc limit {count * each}")
        insert = f"insert into {table} ({', '.join(columns)}) values ({', '.join(':' + c for c in columns)})"
        per_link.append((insert, found[::-1], each))
    with closing(Sqlite(path, secure_delete=True)) as bare:
        migrate(bare, "records", 0)
        started_s = time.perf_counter()
        for start in range(0, count, per_commit):
            end = start + per_commit
            bare.write(partial(_insert, [(sql, rows[start * each : end * each]) for sql, rows, each in per_link]))
        took_s = time.perf_counter() - started_s
    path.unlink()
    return took_s
