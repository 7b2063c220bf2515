"""nimriz import: links of other shorteners, and our own, brought in from files."""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, BinaryIO, Literal, NamedTuple

import typer
from rich.console import Console
from rich.progress import Progress

from nimriz.base.errors import CODES, FIELD_CODES, Refused
from nimriz.cli.output import SaidNo, installation, said_no, show, show_all
from nimriz.cli.workspaces import require_workspace
from nimriz.core.links import domains, importing, link_files, slugs
from nimriz.core.links.destinations import Policy
from nimriz.core.links.domains import Domain
from nimriz.core.links.importing import Outcome, Target
from nimriz.core.links.link_files import FileRefused, FileRow
from nimriz.store.db import Tx

app = typer.Typer(help="Bring links and events in from files.", no_args_is_help=True)
SHOWN_MAX = 1_000
Bar = Callable[[str, int | None], Callable[[int], None]]
"""Begins a bar of this title and total, None for one that is not known; gives who is told how far it is."""
_Format = Literal["auto", "bitly", "dub", "kutt", "yourls", "nimriz"]


class _Report(NamedTuple):
    """What `nimriz import` prints."""

    summary: dict[str, object]
    refusals: list[dict[str, object]]


@app.callback()
def imports() -> None:
    """Bring links and events in from files."""


@app.command("links")
def links_(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A CSV file.")],
    workspace_id: Annotated[str, typer.Option("--workspace", help="The workspace that gets the links.")],
    domain: Annotated[str, typer.Option(help="Their domain, by name or id; default: the installation's own.")] = "",
    format_: Annotated[_Format, typer.Option("--from", help="Whose file it is; auto goes by its header.")] = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, and write nothing.")] = False,
    skip_refused: Annotated[
        bool, typer.Option("--skip-refused", help="Import the other rows when some are refused.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Import links from a CSV file: all of them or none. Exit status 1 when a row was refused."""
    with said_no(), installation() as opened, bars() as bar:
        target = opened.records.read(
            lambda tx: Target(
                require_workspace(tx, workspace_id).workspace_id,
                find_domain(tx, workspace_id, domain),
                Policy(opened.hosts.application, opened.settings.private_destinations),
            )
        )
        dialect, rows = _read(file, format_, bar)
        try:
            outcomes, written = importing.bring_in(
                opened.records, target, rows, opened.clock.now_ms, bar("Judging", len(rows)),
                dry_run=dry_run, skip_refused=skip_refused,
            )  # fmt: skip
        except importing.Unsettled:
            raise SaidNo("Nothing was imported: what the file touches kept changing. Try again.") from None
    report = _reported(rows, outcomes, {"format": dialect, "domain": target.domain.domain_name, "written": written})
    _print(report, json_output)
    raise typer.Exit(1 if report.refusals else 0)


def find_domain(tx: Tx, workspace_id: str, named: str) -> Domain:
    """A domain that the workspace may use, by name or id; '' is the installation's own. Raises SaidNo."""
    for found in domains.of_workspace(tx, workspace_id):
        if named.lower() in (found.domain_name, found.domain_id) or (
            not named and found.workspace_id == domains.SHARED
        ):
            return found
    raise SaidNo("This workspace has no domain of this name or id")


@contextlib.contextmanager
def bars() -> Iterator[Bar]:
    """Progress bars on standard error, where that is a terminal."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:

        def bar(title: str, total: int | None) -> Callable[[int], None]:
            task = progress.add_task(title, total=total)
            return lambda done: progress.update(task, completed=done)

        yield bar


def _read(path: Path, format_: str, bar: Bar) -> tuple[str, list[FileRow]]:
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > link_files.FILE_BYTES_MAX:
                raise SaidNo(f"A file has at most {link_files.FILE_BYTES_MAX:,} bytes")
            dialect, rows = link_files.read(_lines(file, bar("Reading", size)), format_)
            return dialect.name, list(rows)
    except FileRefused as refused:
        raise SaidNo(f"The file cannot be imported: {refused}") from None
    except UnicodeDecodeError:
        raise SaidNo("The file cannot be imported: it is not UTF-8") from None
    except OSError as error:
        raise SaidNo(f"The file cannot be read ({error.strerror})") from None


def _lines(file: BinaryIO, seen: Callable[[int], None]) -> Iterable[str]:
    """Lines with their ends as they are, bounded in length."""
    read_bytes = 0
    while line := file.readline(link_files.FILE_BYTES_MAX):
        read_bytes += len(line)
        if read_bytes > link_files.FILE_BYTES_MAX:
            raise FileRefused(f"a file has at most {link_files.FILE_BYTES_MAX:,} bytes")
        seen(read_bytes)
        yield line.decode()


def _reported(rows: list[FileRow], outcomes: list[Outcome], facts: dict[str, object]) -> _Report:
    refusals: list[dict[str, object]] = [
        {
            "line": row.line,
            "slug": row.slug if slugs.is_slug(row.slug) else None,
            "code": outcome.code,
            "message": _sentence(outcome),
        }
        for row, outcome in zip(rows, outcomes, strict=True)
        if isinstance(outcome, Refused)
    ]
    counts = Counter(outcome.code if isinstance(outcome, Refused) else outcome for outcome in outcomes)
    summary: dict[str, object] = {
        **facts,
        "rows": len(rows),
        "made": counts.pop("made", 0),
        "there_already": counts.pop("there", 0),
        "refused": len(refusals),
    }
    summary.update(sorted(counts.items()))
    return _Report(summary, refusals)


def _sentence(refused: Refused) -> str:
    if refused.errors:
        return " ".join(f"{error.field}: {FIELD_CODES[error.code]}" for error in refused.errors)
    return CODES[refused.code].detail


def _print(report: _Report, as_json: bool) -> None:
    if as_json:
        print(json.dumps({**report.summary, "refusals": report.refusals}, indent=2))
        return
    show(report.summary, False)
    if report.refusals:
        show_all(report.refusals[:SHOWN_MAX], False)
    if len(report.refusals) > SHOWN_MAX:
        print(f"and {len(report.refusals) - SHOWN_MAX:,} more; --json shows them all")
    if report.refusals and not report.summary["written"]:
        print("Nothing was written.")
