"""Exports: what a workspace asked for as files, how far each is, and what became of it.

Owns the table exports. A file is there only when its export is `finished`; an export that was interrupted is gone on
with, as another attempt, as long as `started_at_ms` says that what was made before may be used.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from nimriz.base.clock import DAY_MS
from nimriz.base.errors import Refused
from nimriz.base.ids import new_id
from nimriz.core.directory import entitlements, workspaces
from nimriz.store.db import Database, Params, Row, Tx

Subject = Literal["clicks", "conversions", "links", "report"]
Format = Literal["csv", "ndjson", "xlsx", "parquet"]
Status = Literal["queued", "running", "finished", "failed", "cancelled", "expired", "erased"]
Reason = Literal["after_ahead", "cell_too_long", "disk_full", "folder_unwritable", "internal_error"]

SURFACE = "exports"
OPEN_MAX = 10
"""So many exports of a workspace may wait or be made at a time."""
ATTEMPTS_MAX = 5
"""An export that was interrupted so often is given up."""
HISTORY_DAYS = 400
"""After so long an export is no longer listed."""
FOLDER = "exports"
"""Where the files lie, inside the data directory: a folder for each export."""


class Export(NamedTuple):
    """One export. `asked` is JSON, the manifest too; `readable` says that its file holds what can name a person."""

    export_id: str
    workspace_id: str
    subject: Subject
    format: Format
    asked: str
    readable: int
    status: Status
    reason: str
    attempt: int
    rows_done: int
    rows_total: int | None
    manifest: str
    next_after: str
    actor: str
    created_at_ms: int
    started_at_ms: int | None
    finished_at_ms: int | None
    expires_at_ms: int | None

    @property
    def parameters(self) -> dict[str, Any]:
        """What was asked for."""
        found: dict[str, Any] = json.loads(self.asked)
        return found


class Made(NamedTuple):
    """What came of an attempt: the manifest, and the cursor after which the next export goes on."""

    manifest: str
    next_after: str
    rows: int


_COLUMNS = ", ".join(Export._fields)
_ADD = f"insert into exports ({_COLUMNS}) values ({', '.join(':' + f for f in Export._fields)})"
_MINE = "export_id = :export_id and status = 'running' and attempt = :attempt"


def add(
    tx: Tx,
    workspace_id: str,
    subject: Subject,
    format_: Format,
    asked: Mapping[str, Any],
    actor: str,
    now_ms: int,
    *,
    readable: bool,
) -> Export:
    """Ask for an export. Raises Refused: surface_not_enabled, quota_exceeded."""
    require_surface(tx, workspace_id)
    waiting = tx.one(
        "select count(*) from exports where workspace_id = :workspace_id and status in ('queued', 'running')",
        {"workspace_id": workspace_id},
    )
    if waiting is not None and waiting[0] >= OPEN_MAX:
        raise Refused("quota_exceeded")
    export = Export(
        new_id(now_ms), workspace_id, subject, format_, json.dumps(asked), int(readable), "queued", "", 0, 0, None, "",
        "", actor, now_ms, None, None, None,
    )  # fmt: skip
    tx.run(_ADD, export._asdict())
    return export


def require_surface(tx: Tx, workspace_id: str) -> str:
    """A workspace's plan. Raises Refused(surface_not_enabled)."""
    workspace = workspaces.find(tx, workspace_id)
    if workspace is None or SURFACE not in entitlements.open_surfaces(tx, workspace_id, workspace.plan):
        raise Refused("surface_not_enabled", surface=SURFACE)
    return workspace.plan


def find(tx: Tx, workspace_id: str, export_id: str) -> Export:
    """An export of a workspace. Raises Refused(export_not_found)."""
    row = tx.one(
        f"select {_COLUMNS} from exports where workspace_id = :workspace_id and export_id = :export_id",
        {"workspace_id": workspace_id, "export_id": export_id},
    )
    if row is None:
        raise Refused("export_not_found")
    return Export._make(row)


def page(tx: Tx, workspace_id: str, before_id: str, limit: int) -> list[Export]:
    """At most `limit` exports of a workspace, the newest first; '' begins with the newest."""
    rows = tx.all(
        f"select {_COLUMNS} from exports where workspace_id = :workspace_id "
        "and (:before_id = '' or export_id < :before_id) order by export_id desc limit :limit_count",
        {"workspace_id": workspace_id, "before_id": before_id, "limit_count": limit},
    )
    return [Export._make(row) for row in rows]


def cancel(tx: Tx, export: Export, now_ms: int) -> Export:
    """Stop an export, or delete what it made; one that has ended otherwise stays as it is."""
    row = tx.one(
        "update exports set status = 'cancelled', finished_at_ms = coalesce(finished_at_ms, :now_ms), "
        "expires_at_ms = null where export_id = :export_id and status in ('queued', 'running', 'finished') "
        f"returning {_COLUMNS}",
        {"export_id": export.export_id, "now_ms": now_ms},
    )
    return find(tx, export.workspace_id, export.export_id) if row is None else Export._make(row)


# --- for whoever makes them -----------------------------------------------------------------------------


def waiting(tx: Tx) -> bool:
    """Whether an export waits to be made."""
    return tx.one("select 1 from exports where status = 'queued' limit 1") is not None


def wanted(tx: Tx, now_ms: int) -> bool:
    """Whether somebody has to make exports, or to let go of some: asked when nobody does."""
    row = tx.one(
        "select 1 from exports where status in ('queued', 'running') "
        "or status = 'finished' and expires_at_ms <= :now_ms limit 1",
        {"now_ms": now_ms},
    )
    return row is not None


def take(tx: Tx, now_ms: int) -> Export | None:
    """The export that has waited longest, as a new attempt; one that was given up too often fails instead."""
    tx.run(
        "update exports set status = 'failed', reason = 'internal_error', finished_at_ms = :now_ms "
        "where status = 'queued' and attempt >= :attempts_max",
        {"now_ms": now_ms, "attempts_max": ATTEMPTS_MAX},
    )
    row = tx.one(
        "update exports set status = 'running', attempt = attempt + 1, "
        "started_at_ms = coalesce(started_at_ms, :now_ms) where export_id = "
        "(select export_id from exports where status = 'queued' order by export_id limit 1) "
        f"returning {_COLUMNS}",
        {"now_ms": now_ms},
    )
    return None if row is None else Export._make(row)


def queue_interrupted(tx: Tx) -> None:
    """Have what nobody makes any more gone on with. Whoever calls this is alone in making exports."""
    tx.run("update exports set status = 'queued' where status = 'running'")


def tell(tx: Tx, export: Export, rows_done: int, rows_total: int | None) -> bool:
    """Note how far an attempt is; False when it is not wanted any more."""
    params: Params = {
        "export_id": export.export_id,
        "attempt": export.attempt,
        "rows_done": rows_done,
        "rows_total": rows_total,
    }
    row = tx.one(
        f"update exports set rows_done = :rows_done, rows_total = :rows_total where {_MINE} returning export_id", params
    )
    return row is not None


def finish(tx: Tx, export: Export, made: Made, now_ms: int, keep_days: int) -> bool:
    """Present what an attempt has made; False when it is not wanted any more."""
    params: Params = {
        "export_id": export.export_id,
        "attempt": export.attempt,
        "manifest": made.manifest,
        "next_after": made.next_after,
        "rows": made.rows,
        "now_ms": now_ms,
        "expires_at_ms": now_ms + keep_days * DAY_MS,
    }
    row = tx.one(
        "update exports set status = 'finished', manifest = :manifest, next_after = :next_after, rows_done = :rows, "
        "rows_total = :rows, finished_at_ms = :now_ms, expires_at_ms = :expires_at_ms "
        f"where {_MINE} returning export_id",
        params,
    )
    return row is not None


def fail(tx: Tx, export: Export, reason: Reason, now_ms: int) -> None:
    """Say that an attempt came to nothing, and why; nobody tries again."""
    tx.run(
        f"update exports set status = 'failed', reason = :reason, finished_at_ms = :now_ms where {_MINE}",
        {"export_id": export.export_id, "attempt": export.attempt, "reason": reason, "now_ms": now_ms},
    )


def give_back(tx: Tx, export: Export) -> None:
    """Have an attempt that could not be made now gone on with later."""
    tx.run(
        f"update exports set status = 'queued' where {_MINE}",
        {"export_id": export.export_id, "attempt": export.attempt},
    )


def expire(tx: Tx, now_ms: int) -> None:
    """Let go of files that were kept long enough, and of the memory of exports that are long gone."""
    tx.run(
        "update exports set status = 'expired' where status = 'finished' and expires_at_ms <= :now_ms",
        {"now_ms": now_ms},
    )
    tx.run(
        "delete from exports where created_at_ms < :before_ms and status not in ('queued', 'running', 'finished')",
        {"before_ms": now_ms - HISTORY_DAYS * DAY_MS},
    )


def let_go(tx: Tx) -> None:
    """Let go of all files: they were left behind where the records come from."""
    tx.run("update exports set status = 'expired' where status = 'finished'")


def with_files(tx: Tx) -> set[str]:
    """The exports that may have files now."""
    rows: list[Row] = tx.all(
        "select export_id from exports where status in ('running', 'finished') "
        "or status = 'queued' and started_at_ms is not null"
    )
    return {str(row[0]) for row in rows}


def forgotten(records: Database, folder: Path) -> list[Path]:
    """What is on disk and no export has any more: expired, cancelled, erased. Raises StoreError."""
    # The folders first: one that is made meanwhile is not among them.
    entries = list(folder.iterdir()) if folder.is_dir() else []
    kept = records.read(with_files) if entries else set()
    return [entry for entry in entries if entry.name not in kept]


def remove_forgotten(records: Database, folder: Path) -> None:
    """Remove that from disk. Raises StoreError."""
    for entry in forgotten(records, folder):
        shutil.rmtree(entry, ignore_errors=True)


def forget_readable(tx: Tx, workspace_id: str) -> None:
    """Take back what may name an erased person: finished files are gone, and what is being made begins anew."""
    tx.run(
        "update exports set status = 'erased' where workspace_id = :workspace_id and readable = 1 "
        "and status = 'finished'",
        {"workspace_id": workspace_id},
    )
    # An interrupted one that waits has made something too.
    tx.run(
        "update exports set status = 'queued', started_at_ms = null, rows_done = 0, rows_total = null "
        "where workspace_id = :workspace_id and readable = 1 and status in ('queued', 'running')",
        {"workspace_id": workspace_id},
    )
