"""nimriz ledger: what proves that nobody edited it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from nimriz.cli.exports import write_file
from nimriz.cli.output import SaidNo, installation, said_no, show, show_all
from nimriz.cli.workspaces import Json, require_workspace
from nimriz.core.directory import signet
from nimriz.core.proof import flaws, proof_files, proofs, sealing, seals
from nimriz.core.proof.flaws import Result, Root
from nimriz.core.proof.ledger_rows import NAMES
from nimriz.core.proof.seals import ChainBroken
from nimriz.store.db import Database, Tx

app = typer.Typer(help="Prove that nobody edited the ledger.", no_args_is_help=True)
_PAGE = 500
_UNPROVED = (
    "No published roots were given. This shows that nothing was changed by somebody without the master key; "
    "it shows nothing against whoever has it."
)
_OWN_KEY = "No --public-key was given, so this shows only that the file agrees with itself."
_Workspace = Annotated[str, typer.Option("--workspace", help="Only this workspace's.")]
_Roots = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, help="Published roots, as nimriz ledger roots prints them.")
]


@app.command()
def verify(
    roots: _Roots = None,
    export: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Check this export; needs no data directory.")
    ] = None,
    public_key: Annotated[str, typer.Option(help="The key that must have signed; default: the installation's.")] = "",
    json_output: Json = False,
) -> None:
    """Hold the live ledger, or an export of it, against its seals. Exit status 1 when something does not fit."""
    with said_no():
        if public_key and not _is_key(public_key):
            raise typer.BadParameter("64 hexadecimal digits", param_hint="--public-key")
        published = _read_roots(roots)
        try:
            told, result = _check_file(export, public_key, published) if export else _check(public_key, published)
        except ChainBroken as broken:
            raise SaidNo(f"The chain cannot be followed: {broken}") from None
    _print(told, result, json_output)
    raise typer.Exit(1 if result.flaws else 0)


@app.command()
def seal(json_output: Json = False) -> None:
    """Seal all that was committed by now; a running server does this by itself."""
    with said_no(), installation() as opened:
        try:
            done = sealing.seal_all(opened.records, opened.vault, opened.signet, opened.clock.now_ms())
        except ChainBroken as broken:
            raise SaidNo(f"Nothing was sealed: {broken}") from None
        show({"rows": done.rows, "seals": done.seals}, json_output)


@app.command("roots")
def roots_(workspace_id: _Workspace = "") -> None:
    """Print every signed root as a line of JSON, to be kept where this installation cannot reach."""
    with said_no(), installation() as opened:
        for line in _lines(opened.records, workspace_id):
            print(line)


@app.command()
def key(json_output: Json = False) -> None:
    """Print the public key by which others check what this installation has signed."""
    with said_no(), installation() as opened:
        show({"public_key": opened.signet.public_key}, json_output)


@app.command("export")
def export_(
    workspace_id: Annotated[str, typer.Option("--workspace", help="The workspace whose ledger it is.")],
    event: Annotated[list[str] | None, typer.Option(help="Only the rows about this event; may be given again.")] = None,
    output: Annotated[Path | None, typer.Option(dir_okay=False, help="Where to; default: standard output.")] = None,
) -> None:
    """Write sealed rows with their proofs as NDJSON, which anybody can check without this installation."""
    with said_no(), installation() as opened:
        opened.records.read(lambda tx: require_workspace(tx, workspace_id))
        lines = proof_files.write(opened.records, opened.signet.public_key, workspace_id, event or ())
        if output is not None:
            write_file(output, lines)
            return
        for line in lines:
            sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()


def _is_key(text: str) -> bool:
    try:
        return len(bytes.fromhex(text)) == signet.PUBLIC_KEY_BYTES
    except ValueError:
        return False


def _read_roots(path: Path | None) -> list[Root] | None:
    if path is None:
        return None
    try:
        found, strange = flaws.read_roots(path.read_text("utf-8").split("\n"))
    except (OSError, UnicodeDecodeError):
        raise SaidNo("The published roots cannot be read") from None
    if strange:
        print(f"{strange:,} lines of the published roots are none and were passed over.", file=sys.stderr)
    if not found:
        raise SaidNo("There are no published roots in this file")
    return found


def _check(public_key: str, published: list[Root] | None) -> tuple[dict[str, object], Result]:
    with installation() as opened, _bar(opened.records) as seen:
        own = public_key or opened.signet.public_key
        result = proofs.verify(opened.records, opened.vault, own, published or (), seen)
        return {"public_key": own, "note": None if published else _UNPROVED}, result


def _check_file(path: Path, public_key: str, published: list[Root] | None) -> tuple[dict[str, object], Result]:
    try:
        with path.open("rb") as file:
            checked = proof_files.check(file, public_key, published or ())
    except proof_files.FileRefused as refused:
        raise SaidNo(f"This is no export of a ledger: {refused}") from None
    except OSError as error:
        raise SaidNo(f"The export cannot be read ({error.strerror})") from None
    told: dict[str, object] = {
        "workspace_id": checked.workspace_id,
        "whole_ledger": checked.whole,
        "public_key": public_key or checked.public_key,
        "note": (None if published else _UNPROVED) if public_key else _OWN_KEY,
    }
    return told, checked.result


@contextmanager
def _bar(records: Database) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error, where that is a terminal."""
    console = Console(stderr=True)
    total = records.read(_total) if console.is_terminal else 0
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("Verifying", total=total)
        yield lambda count: progress.advance(task, count)


def _total(tx: Tx) -> int:
    counts = [tx.one(f"select count(*) from {name}") for name in NAMES]
    return sum(0 if row is None else int(row[0]) for row in counts)


def _print(told: dict[str, object], result: Result, as_json: bool) -> None:
    found = [flaw._asdict() for flaw in result.flaws]
    summary = {
        "verdict": "something does not fit" if found else "everything fits",
        **told,
        **result.rows,
        "seals": result.seals,
        "published_roots": result.roots,
        "not_sealed_yet": result.unsealed,
    }
    if as_json:
        print(json.dumps({**summary, "flaws": found}, indent=2))
        return
    show(summary, False)
    if found:
        show_all(found, False)
    if len(found) == flaws.FLAWS_MAX:
        print("There may be more: no more than these are noted.")


def _lines(records: Database, workspace_id: str) -> Iterator[str]:
    seq = 0
    while page := records.read(partial(seals.page, after_seq=seq, limit=_PAGE, workspace_id=workspace_id)):
        for seq, signed in page:  # noqa: B007 - the last one is where the next page begins
            yield signed.line
