"""nimriz export installation, nimriz import installation: everything, to other files and back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from nimriz.cli.imports import Bar, bars
from nimriz.cli.output import SaidNo, installation, said_no, show
from nimriz.config import Settings
from nimriz.core.directory import vault
from nimriz.core.directory.vault import Vault
from nimriz.core.exports import transfer
from nimriz.core.exports.transfer import Told, TransferRefused
from nimriz.installation import open_installation
from nimriz.store.db import Database, Tx
from nimriz.store.migrate import files, migrate
from nimriz.store.sqlite import Sqlite

_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def export_installation(
    folder: Annotated[Path, typer.Argument(help="A folder that is not there yet.")], json_output: _Json = False
) -> None:
    """Write the whole installation as NDJSON: records and clicks, without API keys and signing secrets."""
    with said_no(), installation() as opened:
        if folder.exists():
            raise SaidNo("This folder is there already")
        part = folder.with_name(folder.name + ".part")
        logs: dict[str, Database] = {
            path.stem: Sqlite(path) for path in sorted(opened.settings.data_dir.glob("clicks-*.db"))
        }
        try:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True, mode=0o700)
            with bars() as bar:
                written = transfer.write(part, opened.records, logs, _rows(bar("Writing rows", None)))
            part.replace(folder)
        except OSError as error:
            raise SaidNo(f"The folder cannot be written ({error.strerror})") from None
        finally:
            for log in logs.values():
                log.close()
            shutil.rmtree(part, ignore_errors=True)
        show({"folder": str(folder), "files": len(written), "rows": sum(file.rows for file in written)}, json_output)


def import_installation(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="What an export has written.")],
    json_output: _Json = False,
) -> None:
    """Make an installation from an export, in a data directory that is not there yet, under the same master key."""
    with said_no():
        settings = Settings()
        target = settings.data_dir.absolute()
        if target.exists() and any(target.iterdir()):
            raise SaidNo("The data directory is not empty: an installation is imported as a whole, or not at all")
        try:
            rows = _import(folder, settings, target)
        except TransferRefused as refused:
            raise SaidNo(f"Nothing was imported: {refused}") from None
        except OSError as error:
            raise SaidNo(f"Nothing was imported ({error.strerror})") from None
        # Whatever would keep a server from starting is said here.
        open_installation(settings).close()
        show({"data_dir": str(settings.data_dir), "rows": rows}, json_output)


def _import(folder: Path, settings: Settings, target: Path) -> int:
    opened = Vault(vault.load_master_key(settings.master_key, settings.key_file, data_exists=True))
    with bars() as bar:
        return _import_watched(folder, target, opened, bar)


def _import_watched(folder: Path, target: Path, opened: Vault, bar: Bar) -> int:
    manifest = transfer.check(folder, lambda total: _rows(bar("Checking rows", total)))
    total = sum(int(file["rows"]) for file in manifest["files"])
    told = _rows(bar("Importing rows", total))
    newest = {schema: files(schema)[-1][0] for schema in manifest["schema"]}
    if manifest["schema"] != newest:
        raise TransferRefused("it was written by another version of nimriz; import it with that one")
    os.umask(0o077)
    part = target.with_name(target.name + ".importing")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        for prefix in transfer.prefixes(manifest):
            _import_database(folder, prefix, part, opened, told)
        if target.exists():
            target.rmdir()
        part.replace(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return total


def _import_database(folder: Path, prefix: str, part: Path, opened: Vault, told: Told) -> None:
    records = prefix == "records"
    database = Sqlite(part / f"{prefix}.db", secure_delete=records)

    def take_up(tx: Tx) -> None:
        transfer.take_up(tx, folder, prefix, told)
        if records:
            if tx.one("select 1 from installation where name = 'master_key_check'") is None:
                raise TransferRefused("it does not say which master key it belongs to")
            vault.check_master_key(tx, opened)

    try:
        migrate(database, "records" if records else "clicks", 0)
        database.write(take_up)
    finally:
        database.close()


def _rows(progress: Callable[[int], None]) -> Told:
    """Tell a bar of rows, which come table after table, each counted from its beginning."""
    finished, current = 0, ("", 0)

    def told(name: str, rows: int) -> None:
        nonlocal finished, current
        if current[0] != name:
            finished += current[1]
        current = (name, rows)
        progress(finished + rows)

    return told
