"""History: who changed what on a link, before and after. Owns the table link_history, append-only.

Only what differs is kept, and never a secret: of a password, whether there is one.
"""

from __future__ import annotations

import json
from typing import Literal, NamedTuple

from nimriz.store.db import Params, Tx

Action = Literal[
    "created", "changed", "deleted", "taken_down", "restored", "rules_changed", "experiment_started",
    "experiment_paused", "experiment_stopped", "experiment_promoted",
]  # fmt: skip
OPERATOR = "operator"
"""The actor of what is done on the command line, by whoever runs the installation."""


class Entry(NamedTuple):
    """One change. `before` and `after` are JSON objects with the members that differ."""

    seq: int
    link_id: str
    changed_at_ms: int
    actor: str
    action: str
    before: str
    after: str


_COLUMNS = ", ".join(Entry._fields)
_APPEND = (
    "insert into link_history (workspace_id, link_id, changed_at_ms, actor, action, before, after) "
    "values (:workspace_id, :link_id, :changed_at_ms, :actor, :action, :before, :after)"
)


def by_key(key_id: str) -> str:
    """The actor of what an API key does."""
    return f"key:{key_id}"


def entry(
    workspace_id: str,
    link_id: str,
    actor: str,
    action: Action,
    before: dict[str, object],
    after: dict[str, object],
    now_ms: int,
) -> Params:
    """The row of one change, with the members that differ."""
    differing = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return {
        "workspace_id": workspace_id,
        "link_id": link_id,
        "changed_at_ms": now_ms,
        "actor": actor,
        "action": action,
        "before": _json({name: before[name] for name in differing if name in before}),
        "after": _json({name: after[name] for name in differing if name in after}),
    }


def append(tx: Tx, entries: list[Params]) -> None:
    """Append the rows of changes made in this transaction."""
    tx.many(_APPEND, entries)


def _json(members: dict[str, object]) -> str:
    return json.dumps(members, ensure_ascii=False)


def page(tx: Tx, workspace_id: str, link_id: str, before_seq: int, limit: int) -> list[Entry]:
    """At most `limit` changes of a link, newest first, before number `before_seq` (0: all)."""
    rows = tx.all(
        f"select {_COLUMNS} from link_history where link_id = :link_id and workspace_id = :workspace_id "
        "and (:before_seq = 0 or seq < :before_seq) order by seq desc limit :limit_count",
        {"workspace_id": workspace_id, "link_id": link_id, "before_seq": before_seq, "limit_count": limit},
    )
    return [Entry._make(row) for row in rows]


def of_workspace(tx: Tx, workspace_id: str, before_seq: int, limit: int) -> list[Entry]:
    """At most `limit` changes of any links of a workspace, newest first, before number `before_seq` (0: all)."""
    rows = tx.all(
        f"select {_COLUMNS} from link_history where workspace_id = :workspace_id "
        "and (:before_seq = 0 or seq < :before_seq) order by seq desc limit :limit_count",
        {"workspace_id": workspace_id, "before_seq": before_seq, "limit_count": limit},
    )
    return [Entry._make(row) for row in rows]


def newest(tx: Tx) -> int:
    """The number of the newest change of any link."""
    row = tx.one("select coalesce(max(seq), 0) from link_history")
    return 0 if row is None else int(row[0])


def changed(tx: Tx, workspace_id: str, after_seq: int, behind_id: str, limit: int) -> list[str]:
    """At most `limit` links of a workspace that changed after a number, by id, behind the one given."""
    rows = tx.all(
        "select distinct link_id from link_history where seq > :after_seq and workspace_id = :workspace_id "
        "and link_id > :behind_id order by link_id limit :limit_count",
        {"workspace_id": workspace_id, "after_seq": after_seq, "behind_id": behind_id, "limit_count": limit},
    )
    return [str(row[0]) for row in rows]
