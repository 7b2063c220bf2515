"""Putting a backup back: into a data directory that is not there or empty, checked before and after.

Whoever was erased after the backup is erased again before anything has its name: the journals that say so are not
part of the data, and of several all count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from nimriz.backups import manifest as manifests
from nimriz.backups.checking import Proof, check, frozen, prove, require_key
from nimriz.backups.manifest import BackupRefused, Manifest, Schema
from nimriz.config import Settings
from nimriz.core.clicks import retention
from nimriz.core.directory import vault
from nimriz.core.directory.vault import Vault
from nimriz.core.exports import exports
from nimriz.core.ledger import erasures
from nimriz.core.proof.ledger_rows import NAMES
from nimriz.installation import open_installation
from nimriz.store import copying, tables
from nimriz.store.db import Tx
from nimriz.store.migrate import migrate
from nimriz.store.sqlite import Sqlite


class Restored(NamedTuple):
    """What was put back: the backup's manifest, how many erasures were done again, and what the chain says."""

    manifest: Manifest
    erased_again: int
    proof: Proof


def restore(folder: Path, settings: Settings, journals: Sequence[Path], now_ms: int) -> Restored:
    """Make the data directory from a backup. `journals` are files of erasures beside the installation's own.

    Raises BackupRefused, VaultRefused, MigrationRefused, StoreError and OSError; then nothing was put back.
    """
    target = settings.data_dir.absolute()
    if target.is_mount():
        raise BackupRefused("the data directory is a mount point; name a folder inside it")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BackupRefused("the data directory is not empty; a backup is put back as a whole, or not at all")
    opened = Vault(vault.load_master_key(settings.master_key, settings.key_file, data_exists=True))
    manifest = check(folder)
    with frozen(folder / manifests.RECORDS) as records:
        require_key(records, opened)
    with manifests.becoming(target, ".restoring") as part:
        _copy_files(folder, part, manifest)
        # Beside the folder that will be the data directory, and of its own name until then.
        merged = part.with_name(target.name + ".erasures.part")
        try:
            _merge(merged, [settings.erasures_path, folder / manifests.JOURNAL], journals)
            erased_again, proof = _put_right(part, settings, merged, manifest, now_ms)
            settings.erasures_path.parent.mkdir(parents=True, exist_ok=True)
            merged.replace(settings.erasures_path)
        finally:
            merged.unlink(missing_ok=True)
    return Restored(manifest, erased_again, proof)


def _copy_files(folder: Path, part: Path, manifest: Manifest) -> None:
    """The databases, hashed once more on their way."""
    for said in manifest.databases:
        with (folder / said.name).open("rb") as source, (part / said.name).open("xb") as copy:
            if manifests.hashed(source, copy) != (said.bytes, said.sha256):
                raise BackupRefused(f"{said.name} is not what the manifest says")


def _merge(merged: Path, own: Sequence[Path], given: Sequence[Path]) -> None:
    try:
        for journal in given:
            # Another file, given by mistake, would bring somebody back.
            if journal.stat().st_size and not erasures.merge([journal], merged):
                raise BackupRefused(f"{journal.name} tells of no erasures")
        erasures.merge([*own, *given], merged)
    except (ValueError, LookupError, TypeError):
        raise BackupRefused("a file of erasures cannot be read") from None


def _put_right(part: Path, settings: Settings, merged: Path, manifest: Manifest, now_ms: int) -> tuple[int, Proof]:
    """Bring the copies to this version, have them forget, and look at them once more."""
    own = {"data_dir": part, "master_key_file": settings.key_file, "erasures_file": merged}
    opened = open_installation(settings.model_copy(update=own))
    try:
        opened.records.write(exports.let_go)
        erased_again = opened.eraser.repeat()
        last_seq = opened.records.read(_last_verdict)
        for said in manifest.databases:
            if said.kind != "records":
                _put_log_right(part / said.name, said.kind, last_seq, now_ms)
        _require_same_ledger(opened.records.read(tables.counts), manifest)
        proof = prove(opened.records, opened.vault)
    finally:
        opened.close()
    for said in manifest.databases:
        with frozen(part / said.name) as database:
            if not database.read(copying.is_whole):
                raise BackupRefused(f"{said.name} is damaged after it was copied; look at the disk")
    return erased_again, proof


def _put_log_right(path: Path, kind: Schema, last_seq: int, now_ms: int) -> None:
    log = Sqlite(path)
    try:
        migrate(log, kind, now_ms)
        if kind == "clicks":
            # It was copied after the records, so it may have looked at verdicts that they do not have.
            log.write(partial(retention.read_no_further, last_seq=last_seq))
    finally:
        log.close()


def _last_verdict(tx: Tx) -> int:
    row = tx.one("select coalesce(max(seq), 0) from verdicts")
    return 0 if row is None else int(row[0])


def _require_same_ledger(found: Mapping[str, int], manifest: Manifest) -> None:
    if any(found[name] != manifest.rows(name) for name in NAMES):
        raise BackupRefused("the ledger has not the rows that the manifest names")
