"""Making one export: rows are gathered beside the service, written to a file, and presented once it is whole.

Everything of an attempt lies in the export's own folder. Whatever is interrupted leaves a folder that the next attempt
removes; a file has its name only when all of it is on disk.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import msgspec

from nimriz.analytics import click_rows, client, tabular
from nimriz.analytics.tabular import Column
from nimriz.base.clock import to_rfc3339
from nimriz.core.exports import exports, schedules
from nimriz.core.exports.exports import FOLDER, Export, Made, Reason
from nimriz.core.ledger import conversions
from nimriz.core.ledger.conversions import Filters
from nimriz.core.links import history
from nimriz.exporting import ledger_rows, link_rows, report_rows, sheets
from nimriz.installation import Installation
from nimriz.store.db import Database, Tx

ANALYTICS_WAIT_S = 60.0
"""So long the columnar store may take to be up to date."""
FREE_BYTES_MIN = 256 * 1024 * 1024
"""Clicks and conversions need a disk more than exports do."""
_TELL_EVERY_S = 0.5
_CHUNK_BYTES = 1024 * 1024


class Unwanted(Exception):
    """The export was cancelled, or is to begin anew."""


class Failed(Exception):
    """It cannot be made; the reason is a code."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


class Later(Exception):
    """It cannot be made now."""


class Gathered(NamedTuple):
    """Rows in a file: NDJSON of `columns`, or Parquet or the wanted form already (`ready`); and the next cursor."""

    path: Path
    columns: Sequence[Column]
    ready: bool
    rows: int
    next_after: dict[str, int]
    fresh_ms: int


class Attempt:
    """One attempt at one export."""

    def __init__(self, installation: Installation, logs: Sequence[Database], export: Export) -> None:
        self._installation, self._logs, self._export = installation, logs, export
        self._folder = folder_of(installation.settings.data_dir, export.export_id)
        self._asked = export.parameters
        self._told_s = 0.0

    def make(self) -> bool:
        """Make and present it; False when nobody wants it any more. Raises Failed, Later and StoreError."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        try:
            made = self._made()
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

        return self._installation.records.write(present) or self._drop()

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
        gathered = self._gathered()
        part = self._folder / "part"
        written = self._export.format
        if written == "xlsx":
            parquet = gathered.path
            if not gathered.ready:
                parquet = self._folder / "staged.parquet"
                tabular.convert(gathered.path, gathered.columns, parquet, "parquet")
            batches = self._watched(tabular.rows_of(parquet, gathered.columns), gathered.rows)
            rows = sheets.write(part, self._export.subject, gathered.columns, batches)
        elif gathered.ready:
            gathered.path.replace(part)
            rows = gathered.rows
        else:
            rows = tabular.convert(gathered.path, gathered.columns, part, written)
        if rows != gathered.rows:
            raise Failed("internal_error")
        return self._present(part, gathered)

    def _present(self, part: Path, gathered: Gathered) -> Made:
        digest = hashlib.sha256()
        with part.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
            os.fsync(file.fileno())
        name = f"{self._export.subject}.{self._export.format}"
        size = part.stat().st_size
        part.replace(self._folder / name)
        for leftover in self._folder.iterdir():
            if leftover.name != name:
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        manifest = {
            "rows": gathered.rows,
            "files": [{"name": name, "bytes": size, "rows": gathered.rows, "sha256": digest.hexdigest()}],
            "columns": [column.name for column in gathered.columns],
            "fresh_as_of": to_rfc3339(gathered.fresh_ms),
        }
        after = json.dumps(gathered.next_after) if gathered.next_after else ""
        return Made(json.dumps(manifest), after, gathered.rows)

    def _gathered(self) -> Gathered:
        match self._export.subject:
            case "clicks":
                return self._clicks()
            case "conversions":
                return self._conversions()
            case "links":
                return self._links()
            case _:
                return self._report()

    def _clicks(self) -> Gathered:
        written = "parquet" if self._export.format == "xlsx" else self._export.format
        path = self._folder / "clicks"
        told = self._ask(
            {
                "ask": "copy",
                "question": {"workspace_id": self._export.workspace_id, **self._asked["clicks"]},
                "path": str(path.absolute()),
                "format": written,
                "fresh_from_ms": self._export.created_at_ms,
            }
        )
        if "ahead" in told:
            raise Failed("after_ahead")
        if "full" in told:
            raise Failed("disk_full")
        return Gathered(path, click_rows.COLUMNS, True, told["rows"], told["cursors"], told["fresh_ms"])

    def _conversions(self) -> Gathered:
        asked, mode, records = self._asked, self._asked["mode"], self._installation.records
        fresh_ms = self._installation.clock.now_ms()
        newest = records.read(lambda tx: conversions.newest(tx, mode))
        if any(newest.get(name, 0) < seq for name, seq in asked["after"].items()):
            raise Failed("after_ahead")
        filters = Filters(asked["from_ms"], asked["to_ms"], asked["link_id"], asked["event_name"])
        vault = self._installation.vault if self._export.readable else None
        total = None
        if not (asked["after"] or asked["link_id"] or asked["event_name"]):
            total = records.read(lambda tx: conversions.count(tx, mode, self._export.workspace_id, filters))
        pages = ledger_rows.rows(
            records, self._logs, vault, self._export.workspace_id, mode,
            ledger_rows.asked(asked["after"], newest["outcomes"], filters),
        )  # fmt: skip
        columns = ledger_rows.columns(personal=bool(self._export.readable))
        return self._staged(columns, pages, total, newest, fresh_ms)

    def _links(self) -> Gathered:
        records, now_ms = self._installation.records, self._installation.clock.now_ms()
        newest = records.read(history.newest)
        after_seq = self._asked["after"].get("changes", 0)
        if newest < after_seq:
            raise Failed("after_ahead")
        base_url = self._installation.settings.base_url
        pages = link_rows.rows(records, self._logs, self._export.workspace_id, base_url, now_ms, after_seq)
        return self._staged(link_rows.COLUMNS, pages, None, {"changes": newest}, now_ms)

    def _report(self) -> Gathered:
        report = self._asked["report"]
        told = self._ask({"ask": report["of"], "question": report["question"]})
        columns, rows = report_rows.table(self._installation.records, self._export.workspace_id, report, told)
        return self._staged(columns, [rows], len(rows), {}, told["fresh_ms"])

    def _staged(
        self,
        columns: Sequence[Column],
        pages: Iterable[list[dict[str, Any]]],
        total: int | None,
        newest: Mapping[str, int],
        fresh_ms: int,
    ) -> Gathered:
        """Keep rows in a file of this attempt."""
        path = self._folder / "staged.ndjson"
        names = [column.name for column in columns]
        rows = 0
        with path.open("wb") as file:
            for page in pages:
                for row in page:
                    file.write(msgspec.json.encode({name: row.get(name) for name in names}) + b"\n")
                rows += len(page)
                self._tell(rows, total)
        return Gathered(path, columns, False, rows, dict(newest), fresh_ms)

    def _watched(self, batches: Iterable[list[tuple[Any, ...]]], total: int) -> Iterable[list[tuple[Any, ...]]]:
        done = 0
        for batch in batches:
            yield batch
            done += len(batch)
            self._tell(done, total)

    def _ask(self, request: dict[str, Any]) -> Any:
        try:
            return client.command(
                self._installation.settings.data_dir, {**request, "wait_s": ANALYTICS_WAIT_S}, self._tell
            )
        except client.Unavailable as error:
            raise Later from error

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
