"""nimriz import conversions: events of before, from a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from hashlib import file_digest
from io import BufferedReader
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

import typer

from nimriz.base.errors import Refused
from nimriz.base.ids import new_id
from nimriz.cli.imports import bars
from nimriz.cli.output import SaidNo, installation, said_no, show
from nimriz.cli.workspaces import require_workspace
from nimriz.core.directory import entitlements
from nimriz.core.ledger import backfill, event_files
from nimriz.core.ledger.attribution import TokenReader
from nimriz.core.ledger.backfill import Job, Report, ReportRefused
from nimriz.core.ledger.event_files import EventFileRefused, EventRow
from nimriz.core.ledger.recording import Recorder
from nimriz.core.links import links
from nimriz.installation import Installation
from nimriz.store.db import Tx

_SURFACE = "conversion_tracking"
_LINK_OWNERS_MAX = 100_000
_COUNTS = ("recorded", "repeated", "valid", "refused", "different", "attributed", "unattributed", "pending")
_Format = Literal["auto", "csv", "ndjson"]


def conversions(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A CSV or NDJSON file.")],
    workspace_id: Annotated[str, typer.Option("--workspace", help="The workspace that gets the events.")],
    format_: Annotated[_Format, typer.Option("--format", help="What the file is; auto goes by its name.")] = "auto",
    test: Annotated[bool, typer.Option("--test", help="Into the test ledger.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, and record nothing.")] = False,
    report: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Where each row's verdict goes; default: beside the file.")
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Record events of before from a file, each as if it were posted. Exit status 1 when a row was refused."""
    with said_no(), installation() as opened:
        opened.records.read(lambda tx: _check(tx, workspace_id))
        path = report or file.with_name(file.name + (".dry-run.ndjson" if dry_run else ".report.ndjson"))
        with _reading(file) as raw:
            job = Job(workspace_id, "test" if test else "live", file_digest(raw, "sha256").hexdigest(), dry_run)
            raw.seek(0)
            told = _bring_in(opened, job, raw, _kind(file, format_), path)
    if json_output:
        print(json.dumps(told, indent=2))
    else:
        show(told, False)
    raise typer.Exit(1 if told["refused"] else 0)


def _check(tx: Tx, workspace_id: str) -> None:
    workspace = require_workspace(tx, workspace_id)
    if _SURFACE not in entitlements.open_surfaces(tx, workspace_id, workspace.plan):
        raise Refused("surface_not_enabled", surface=_SURFACE)


def _reading(path: Path) -> BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        raise SaidNo(f"The file cannot be read ({error.strerror})") from None


def _kind(path: Path, format_: _Format) -> str:
    if format_ != "auto":
        return format_
    kinds = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson"}
    if path.suffix.lower() not in kinds:
        raise typer.BadParameter("csv or ndjson; the file's name does not say", param_hint="--format")
    return kinds[path.suffix.lower()]


def _bring_in(opened: Installation, job: Job, raw: BinaryIO, kind: str, path: Path) -> dict[str, object]:
    reader = TokenReader(opened.keyring, links.workspace_of, _LINK_OWNERS_MAX)
    recorder = Recorder(opened.records, opened.vault, reader, opened.clock.now_ms, opened.settings.rejudge_max)
    import_id = "import-" + new_id(opened.clock.now_ms())
    try:
        report = Report.begin(path, job, import_id)
        resumed_after = report.rows
        try:
            with bars() as bar:
                progress = bar("Importing", raw.seek(0, 2))
                raw.seek(0)
                place = [0]
                rows = _rows(kind, _counted(raw, place), opened.clock.now_ms)
                backfill.bring_in(recorder, job, rows, report, lambda: progress(place[0]))
        finally:
            report.close()
    except ReportRefused as refused:
        raise SaidNo(f"Nothing was imported: {refused}") from None
    except EventFileRefused as refused:
        raise SaidNo(f"The file cannot be imported: {refused}") from None
    except OSError as error:
        raise SaidNo(f"The import stopped ({error.strerror}); the same command goes on with it") from None
    counts = {name: report.counts[name] for name in _COUNTS}
    return {
        "import_id": report.import_id, "mode": job.mode, "written": not job.dry_run, "rows": report.rows,
        "resumed_after_row": resumed_after, **counts, "report": str(path),
    }  # fmt: skip


def _counted(raw: BinaryIO, place: list[int]) -> Iterator[bytes]:
    """Lines, bounded in length; `place` says how many bytes have been read."""
    while line := raw.readline(event_files.ROW_BYTES_MAX + 1):
        place[0] += len(line)
        rest = line
        # What is too long is one row all the same, and is refused as one.
        while len(line) > event_files.ROW_BYTES_MAX and rest and not rest.endswith(b"\n"):
            rest = raw.readline(event_files.ROW_BYTES_MAX)
            place[0] += len(rest)
        yield line


def _rows(kind: str, lines: Iterator[bytes], now_ms: Callable[[], int]) -> Iterator[EventRow]:
    return event_files.read_csv(lines, now_ms) if kind == "csv" else event_files.read_ndjson(lines, now_ms)
