"""nimriz backup, nimriz restore: the whole installation, copied beside a running server and put back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from nimriz.backups import checking, making, restoring
from nimriz.backups import manifest as manifests
from nimriz.backups.checking import Proof
from nimriz.backups.manifest import BackupRefused, Manifest
from nimriz.base.clock import Clock
from nimriz.cli.output import SaidNo, said_no, show
from nimriz.config import Settings
from nimriz.core.directory import vault
from nimriz.core.directory.vault import Vault
from nimriz.store.db import StoreError

_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def backup(
    folder: Annotated[Path, typer.Argument(help="A folder that is not there yet; with --verify, a backup.")],
    verify: Annotated[bool, typer.Option("--verify", help="Check a backup that is there, and make none.")] = False,
    json_output: _Json = False,
) -> None:
    """Back up records, clicks and notes, beside a running server, and check the copy. The master key is not in it."""
    with said_no(), _refused("This is no backup" if verify else "Nothing was backed up"):
        settings = Settings()
        opened = Vault(vault.load_master_key(settings.master_key, settings.key_file, data_exists=True))
        folder = folder.absolute()
        if verify:
            manifest = checking.check(folder)
            with checking.frozen(folder / manifests.RECORDS) as records:
                proof = checking.prove(records, opened)
        else:
            now_ms = Clock(settings.clock_offset_s).now_ms()
            manifest, proof = making.make(settings.data_dir, settings.erasures_path, folder, opened, now_ms)
        show({"folder": str(folder), **_told(manifest, proof)}, json_output)
        _end(proof)


def restore(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="A backup.")],
    erasures: Annotated[
        list[Path] | None,
        typer.Option(exists=True, dir_okay=False, help="A file of erasures from elsewhere; may be given again."),
    ] = None,
    json_output: _Json = False,
) -> None:
    """Put a backup back, into a data directory that is not there yet or empty, and erase again who was erased since."""
    with said_no(), _refused("Nothing was restored"):
        settings = Settings()
        now_ms = Clock(settings.clock_offset_s).now_ms()
        restored = restoring.restore(folder.absolute(), settings, erasures or (), now_ms)
        told = _told(restored.manifest, restored.proof)
        show({"data_dir": str(settings.data_dir), **told, "erased_again": restored.erased_again}, json_output)
        _end(restored.proof)


@contextmanager
def _refused(nothing: str) -> Iterator[None]:
    try:
        yield
    except BackupRefused as refused:
        raise SaidNo(f"{nothing}: {refused}") from None
    except OSError as error:
        raise SaidNo(f"{nothing} ({error.strerror})") from None
    except StoreError as error:
        raise SaidNo(f"{nothing} ({error})") from None


def _told(manifest: Manifest, proof: Proof) -> dict[str, object]:
    return {
        "taken_at": manifest.taken_at,
        "version": manifest.version,
        "bytes": sum(file.bytes for file in manifest.files),
        "workspaces": manifest.rows("workspaces"),
        "links": manifest.rows("links"),
        "events": manifest.rows("outcomes"),
        "test_events": manifest.rows("test_outcomes"),
        "clicks": manifest.rows("click_rows") or manifest.rows("clicks"),
        "ledger": proof.told,
    }


def _end(proof: Proof) -> None:
    """The copy is what it is, but somebody has to look at it."""
    raise typer.Exit(0 if proof.fits else 1)
