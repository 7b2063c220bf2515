"""Transfer: an installation as NDJSON files, one for each table, and the same installation made from them.

The files say everything that stands in the records and the click logs, but for what is in LEFT_OUT, and nothing of when
or where they were written: the same installation gives the same bytes. What is sealed stays sealed, so the master key,
which is in no file, is needed to take it up. Nothing half done: a folder has its name when all of it is there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from nimriz.store import tables
from nimriz.store.db import Database, Row, Scalar, Tx
from nimriz.store.tables import Table

FORM = 1
MANIFEST = "manifest.json"
LEFT_OUT = {
    "api_keys": "credentials are made anew",
    "signing_secrets": "credentials are made anew",
    "changes": "tells running processes what changed in the last minutes",
    "report_shares": "credentials are made anew",
    "exports": "their files are not in it",
    "passes": "credentials are made anew",
    "sessions": "credentials are made anew",
}
"""Tables that no transfer holds, and why."""
LINE_BYTES_MAX = 16 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024
Told = Callable[[str, int], None]


class TransferRefused(Exception):
    """The files are not a transfer that this version takes up; the message is the sentence that says why."""


class Written(NamedTuple):
    """One file: its name, rows, and SHA-256."""

    name: str
    rows: int
    sha256: str


def write(folder: Path, records: Database, logs: dict[str, Database], told: Told) -> list[Written]:
    """Write an installation to a folder that is there and empty. Raises StoreError and OSError.

    The records are read in one snapshot, and the click logs after them, so that no event names a click that is missing.
    """
    found = records.read(partial(_write_snapshot, folder=folder, prefix="records", told=told))
    schema = {"records": records.read(tables.versions)}
    for name, log in sorted(logs.items()):
        found += _write_paged(log, folder, name, told)
        schema["clicks"] = log.read(tables.versions)
    manifest = {
        "nimriz_transfer": FORM,
        "schema": schema,
        "files": [{"name": file.name, "rows": file.rows, "sha256": file.sha256} for file in found],
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")
    return found


def _write_snapshot(tx: Tx, folder: Path, prefix: str, told: Told) -> list[Written]:
    known = [table for table in tables.find_all(tx) if table.name not in LEFT_OUT]
    return [_write_table(folder, prefix, table, tables.pages(tx, table), told) for table in known]


def _write_paged(log: Database, folder: Path, prefix: str, told: Told) -> list[Written]:
    """Each page in a read of its own: one long one would keep the log's file from being cut back."""
    known = log.read(tables.find_all)
    return [_write_table(folder, prefix, table, _paged(log, table), told) for table in known]


def _paged(log: Database, table: Table) -> Iterator[list[Row]]:
    after: Row = ()
    while found := log.read(partial(tables.page, table=table, after=after)):
        yield found
        after = tables.key_of(table, found[-1])


def _write_table(folder: Path, prefix: str, table: Table, pages: Iterable[list[Row]], told: Told) -> Written:
    name, rows, digest = f"{prefix}.{table.name}.ndjson", 0, hashlib.sha256()
    with (folder / name).open("wb") as file:
        for page in pages:
            text = b"".join(_line(table, row) for row in page)
            digest.update(text)
            file.write(text)
            rows += len(page)
            told(table.name, rows)
    return Written(name, rows, digest.hexdigest())


def _line(table: Table, row: Row) -> bytes:
    members = {
        column: {"hex": value.hex()} if isinstance(value, bytes) else value
        for column, value in zip(table.columns, row, strict=True)
    }
    return msgspec.json.encode(members) + b"\n"


# --- taking it up ---------------------------------------------------------------------------------------


def check(folder: Path, begin: Callable[[int], Told]) -> dict[str, Any]:
    """The manifest of a transfer, once every file is what it says. Raises TransferRefused and OSError.

    `begin` hears how many rows there are to be, and gives who is told how far it is.
    """
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text("utf-8"))
        files = [Written(file["name"], file["rows"], file["sha256"]) for file in manifest["files"]]
        form = manifest["nimriz_transfer"]
    except FileNotFoundError:
        raise TransferRefused(f"there is no {MANIFEST} in this folder") from None
    except (ValueError, KeyError, TypeError):
        raise TransferRefused(f"{MANIFEST} cannot be read") from None
    if form != FORM:
        raise TransferRefused("it was written by another version of nimriz")
    told = begin(sum(file.rows for file in files))
    for file in files:
        if file.name != Path(file.name).name or _digest(folder / file.name) != file.sha256:
            raise TransferRefused("a file is missing, or is not what the manifest says")
        told(file.name, file.rows)
    return manifest


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def prefixes(manifest: dict[str, Any]) -> list[str]:
    """The databases that a transfer holds: `records`, and the click logs by their names."""
    return sorted({str(file["name"]).partition(".")[0] for file in manifest["files"]})


def take_up(tx: Tx, folder: Path, prefix: str, told: Told) -> None:
    """Write the rows of one database into its tables, which are empty. Raises TransferRefused."""
    for table in tables.find_all(tx):
        path = folder / f"{prefix}.{table.name}.ndjson"
        if table.name in LEFT_OUT or not path.exists():
            continue
        with path.open("rb") as file:
            rows = 0
            for page in _read(file, table):
                tables.put_back(tx, table, page)
                rows += len(page)
                told(table.name, rows)


def _read(file: BinaryIO, table: Table) -> Iterator[list[list[Scalar]]]:
    page: list[list[Scalar]] = []
    while line := file.readline(LINE_BYTES_MAX):
        page.append(_row(line, table))
        if len(page) == tables.PAGE_ROWS:
            yield page
            page = []
    yield page


def _row(line: bytes, table: Table) -> list[Scalar]:
    try:
        members = msgspec.json.decode(line)
        if tuple(members) != table.columns:
            raise ValueError("other columns")
        return [bytes.fromhex(v["hex"]) if isinstance(v, dict) else v for v in members.values()]
    except (ValueError, KeyError, TypeError):
        raise TransferRefused(f"a row of {table.name} cannot be read") from None
