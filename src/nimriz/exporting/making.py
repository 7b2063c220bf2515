"""Making one export: rows are gathered beside the service, written to a file, and presented once it is whole.

Everything of an export lies in its own folder. What is interrupted is gone on with by the next attempt, from the parts
that are finished; a file has its name only when all of it is on disk.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import duckdb

from nimriz import __version__
from nimriz.analytics import tabular
from nimriz.base.clock import to_rfc3339
from nimriz.core.exports import exports, schedules
from nimriz.core.exports.exports import FOLDER, Export, Made
from nimriz.exporting import sheets, staging
from nimriz.exporting.gathering import Failed, Job, gather
from nimriz.exporting.staging import Frame, Stage
from nimriz.installation import Installation
from nimriz.store.db import Database, Tx

FREE_BYTES_MIN = 256 * 1024 * 1024
"""Clicks and conversions need a disk more than exports do."""
_TELL_EVERY_S = 0.5


class Unwanted(Exception):
    """The export was cancelled, or is to begin anew."""


class Attempt:
    """One attempt at one export."""

    def __init__(self, installation: Installation, logs: Sequence[Database], export: Export) -> None:
        self._installation, self._export = installation, export
        self._asked = export.parameters
        self._folder = folder_of(installation.settings.data_dir, export.export_id)
        made_for = f"{__version__} {export.started_at_ms}"
        self._stage = Stage(self._folder, made_for, grows=export.format in ("csv", "ndjson"))
        self._job = Job(installation, logs, export, self._stage, self._tell)
        self._told_s = 0.0

    def make(self) -> bool:
        """Make and present it; False when nobody wants it any more. Raises Failed, Later and StoreError."""
        try:
            made = self._stage.made or self._made()
        except Unwanted:
            return self._drop()
        except sheets.CellTooLong:
            raise Failed("cell_too_long") from None
        except (OSError, duckdb.IOException) as error:
            if isinstance(error, OSError) and error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise Failed("disk_full") from None
        self._deliver(made)
        now_ms, keep_days = self._installation.clock.now_ms(), self._installation.settings.export_keep_days

        def present(tx: Tx) -> bool:
            presented = exports.finish(tx, self._export, made, now_ms, keep_days)
            if presented:
                schedules.note_cursor(tx, self._export, made.next_after)
            return presented

        if not self._installation.records.write(present):
            return self._drop()
        self._stage.forget()
        return True

    def _deliver(self, made: Made) -> None:
        """Lay a scheduled run into the operator's folder, whole, with its manifest. Raises Failed."""
        wanted = self._asked.get("deliver")
        if wanted is None:
            return
        root = self._installation.settings.export_folder
        if root is None:
            raise Failed("folder_unwritable")
        (file,) = json.loads(made.manifest)["files"]
        folder = root / self._export.workspace_id / wanted["folder"]
        target = folder / f"{wanted['name']}.{self._export.format}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f".{target.name}.part")
            shutil.copyfile(self._folder / file["name"], part)
            with part.open("rb") as written:
                os.fsync(written.fileno())
            target.with_name(f"{target.name}.manifest.json").write_text(made.manifest + "\n", "utf-8")
            part.replace(target)
        except OSError as error:
            raise Failed("folder_unwritable") from error

    def _drop(self) -> bool:
        shutil.rmtree(self._folder, ignore_errors=True)
        return False

    def _made(self) -> Made:
        frame = gather(self._job)
        parts, rows = self._stage.paths(), self._stage.rows
        whole = parts[0]
        if self._export.format == "xlsx":
            whole = self._folder / "whole"
            batches = self._watched(tabular.rows_of(parts, frame.columns), rows)
            written = sheets.write(whole, self._export.subject, frame.columns, batches)
        elif len(parts) > 1:
            whole = self._folder / "whole"
            written = tabular.join(parts, whole)
        else:
            written = rows
        if written != rows:
            raise Failed("internal_error")
        return self._named(whole, frame, rows)

    def _named(self, whole: Path, frame: Frame, rows: int) -> Made:
        """Give the file its name, once all of it is on disk."""
        sha256 = staging.digest_of(whole)
        with whole.open("rb") as file:
            os.fsync(file.fileno())
        name, size = f"{self._export.subject}.{self._export.format}", whole.stat().st_size
        manifest = {
            "rows": rows,
            "files": [{"name": name, "bytes": size, "rows": rows, "sha256": sha256}],
            "columns": [column.name for column in frame.columns],
            "fresh_as_of": to_rfc3339(frame.fresh_ms),
        }
        made = Made(json.dumps(manifest), json.dumps(frame.next_after) if frame.next_after else "", rows)
        whole.replace(self._folder / name)
        self._stage.note_made(made)
        return made

    def _watched(self, batches: Iterable[list[tuple[Any, ...]]], total: int) -> Iterable[list[tuple[Any, ...]]]:
        done = 0
        for batch in batches:
            yield batch
            done += len(batch)
            self._tell(done, total)

    def _tell(self, done: int, total: int | None) -> None:
        """Say how far it is, now and then. Raises Unwanted and Failed."""
        now_s = time.monotonic()
        if now_s - self._told_s < _TELL_EVERY_S:
            return
        self._told_s = now_s
        if shutil.disk_usage(self._folder).free < FREE_BYTES_MIN:
            raise Failed("disk_full")
        if not self._installation.records.write(lambda tx: exports.tell(tx, self._export, done, total)):
            raise Unwanted


def folder_of(data_dir: Path, export_id: str) -> Path:
    """Where the files of an export lie."""
    return data_dir / FOLDER / export_id
