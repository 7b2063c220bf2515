"""nimriz export: what a workspace has, as files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from nimriz.cli.imports import find_domain
from nimriz.cli.output import SaidNo, installation, said_no
from nimriz.cli.workspaces import require_workspace
from nimriz.core.links import domains, link_files, links
from nimriz.core.links.link_dialects import COLUMNS
from nimriz.core.links.links import Filters, Link
from nimriz.store.db import Database

app = typer.Typer(help="Write what a workspace has to files.", no_args_is_help=True)
PAGE_ROWS = 1_000


@app.callback()
def exports() -> None:
    """Write what a workspace has to files."""


@app.command("links")
def links_(
    workspace_id: Annotated[str, typer.Option("--workspace", help="The workspace whose links they are.")],
    output: Annotated[Path | None, typer.Option(dir_okay=False, help="Where to; default: standard output.")] = None,
    domain: Annotated[str, typer.Option(help="Only the links of this domain, by name or id.")] = "",
) -> None:
    """Write a workspace's links as CSV, newest first, archived ones too. Passwords are not in it."""
    with said_no(), installation() as opened:
        opened.records.read(lambda tx: require_workspace(tx, workspace_id))
        only = opened.records.read(lambda tx: find_domain(tx, workspace_id, domain)).domain_id if domain else ""
        lines = link_files.written(_rows(opened.records, workspace_id, only))
        if output is None:
            for line in lines:
                sys.stdout.buffer.write(line.encode())
            sys.stdout.buffer.flush()
            return
        write_file(output, (line.encode() for line in lines))


def write_file(path: Path, lines: Iterable[bytes]) -> None:
    """A whole file or none: it takes its name when it is complete. Raises SaidNo."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            file.writelines(lines)
        os.replace(part, path)
    except OSError as error:
        raise SaidNo(f"The file cannot be written ({error.strerror})") from None
    finally:
        part.unlink(missing_ok=True)


def _rows(records: Database, workspace_id: str, domain_id: str) -> Iterator[list[str]]:
    yield list(COLUMNS)
    names = {d.domain_id: d.domain_name for d in records.read(lambda tx: domains.of_workspace(tx, workspace_id))}
    filters, before_id = Filters(domain_id=domain_id, archived=None), ""
    while page := _page(records, workspace_id, before_id, filters):
        for link in page:
            yield link_files.cells_of(link, names.get(link.domain_id, ""))
        before_id = page[-1].link_id


def _page(records: Database, workspace_id: str, before_id: str, filters: Filters) -> list[Link]:
    return records.read(lambda tx: links.page(tx, workspace_id, before_id, PAGE_ROWS, filters))
