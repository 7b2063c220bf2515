"""Making a backup beside a running server: one snapshot of each database, the records first.

A click is in its log before its token can bring a conversion, and the logs are copied after the records: so no verdict
of a backup names a click that the backup lacks. Nothing here needs the server to stand still, or keeps anybody waiting.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

import nimriz
from nimriz.backups import manifest as manifests
from nimriz.backups.checking import Proof, check, frozen, newest_root, prove
from nimriz.backups.manifest import BackupRefused, DatabaseFile, Manifest
from nimriz.base.clock import to_rfc3339
from nimriz.core.directory.vault import Vault
from nimriz.core.ledger import erasures
from nimriz.store import copying, tables


def make(data_dir: Path, journal: Path, folder: Path, opened: Vault, now_ms: int) -> tuple[Manifest, Proof]:
    """Make a backup in a folder that is not there yet; it has that name once all of it was checked.

    Raises BackupRefused, VaultRefused, StoreError and OSError.
    """
    if not (data_dir / manifests.RECORDS).is_file():
        raise BackupRefused("there is no installation in the data directory")
    if folder.exists():
        raise BackupRefused("this folder is there already")
    with manifests.becoming(folder, ".part") as part:
        databases = [_copy_records(data_dir, part)]
        databases += [_copy(data_dir / name, part) for name in _others(data_dir)]
        # After the records: whoever is erased in them is in the journal too, or not finished yet.
        (part / manifests.JOURNAL).write_bytes(journal.read_bytes() if journal.exists() else b"")
        with frozen(part / manifests.RECORDS) as records:
            root = records.read(newest_root)
        manifests.write(
            part,
            Manifest(
                manifests.FORM, nimriz.__version__, to_rfc3339(now_ms), databases,
                manifests.file_of(part / manifests.JOURNAL), root,
            ),
        )  # fmt: skip
        manifest = check(part)
        with frozen(part / manifests.RECORDS) as records:
            proof = prove(records, opened)
    return manifest, proof


def _others(data_dir: Path) -> list[str]:
    """The other databases, listed after the records were copied: a process that began meanwhile has its own log."""
    notes = [path.name for path in data_dir.glob("deliveries.db")]
    return notes + sorted(path.name for path in data_dir.glob("clicks-*.db"))


def _copy_records(data_dir: Path, part: Path) -> DatabaseFile:
    target = part / manifests.RECORDS
    copying.copy(data_dir / manifests.RECORDS, target)
    with frozen(target) as records:
        half_erased = records.read(erasures.unfinished)
    if half_erased:
        # The rows are gone, yet their bytes may stand in the gaps: here nobody would look for them any more.
        copying.compact(target)
    return _described(target)


def _copy(source: Path, part: Path) -> DatabaseFile:
    target = part / source.name
    copying.copy(source, target)
    return _described(target)


def _described(target: Path) -> DatabaseFile:
    with frozen(target) as database:
        schema, rows = database.read(tables.versions), database.read(tables.counts)
    return DatabaseFile(**msgspec.structs.asdict(manifests.file_of(target)), schema=schema, rows=rows)
