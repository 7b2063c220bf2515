"""nimriz doctor: is this installation well, and what is to be done where it is not.

Promises to change nothing: what is not there is not made, and the databases are only read.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import httpx2
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import nimriz
from nimriz.base.clock import Clock, from_rfc3339
from nimriz.config import Settings
from nimriz.core.clicks.address_files import AddressFileRefused
from nimriz.core.clicks.networks import Networks
from nimriz.core.clicks.places import Places
from nimriz.core.directory import credentials, vault, workspaces
from nimriz.core.directory.vault import Vault, VaultRefused
from nimriz.core.links import domains
from nimriz.store.db import StoreError, Tx
from nimriz.store.migrate import MigrationRefused, pending
from nimriz.store.sqlite import Sqlite, SqliteTooOld, refuse_affected_version

FREE_BYTES_MIN, FREE_BYTES_LOW = 64 * 1024**2, 1024**3
OPEN_FILES_LOW = 16_384
CLOCK_APART_MS_LOW, CLOCK_APART_MS_MAX = 5_000, 300_000
# SQLite's write-ahead log needs memory shared by all its processes, and locks that hold.
_REMOTE = {"9p", "afs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "lustre", "nfs", "nfs4", "smb3", "smbfs"}
_VOLATILE = {"ramfs", "tmpfs"}
_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


class Check(NamedTuple):
    """One thing that was looked at, and a sentence: what there is, or what to do."""

    name: str
    status: Literal["ok", "warn", "fail"]
    sentence: str


def run(as_json: bool) -> int:
    """Print the checks; 1 when one of them fails, else 0."""
    checks = list(_checks(Settings()))
    failed = any(check.status == "fail" for check in checks)
    if as_json:
        print(json.dumps({"ok": not failed, "checks": [check._asdict() for check in checks]}, indent=2))
        return int(failed)
    table = Table("check", "state", "what there is, or what to do")
    for check in checks:
        table.add_row(check.name, f"[{_STYLES[check.status]}]{check.status}[/]", escape(check.sentence))
    Console(width=None if sys.stdout.isatty() else 120, highlight=False, emoji=False).print(table)
    return int(failed)


def _checks(settings: Settings) -> Iterator[Check]:
    yield _sqlite()
    yield _clock(settings)
    yield _open_files()
    yield _proxies(settings)
    yield _places(settings)
    yield _networks(settings)
    try:
        there = (settings.data_dir / "records.db").exists()
        yield from _data_directory(settings.data_dir, there)
        if there:
            yield from _records(settings)
            yield _day_key(settings.day_key_path)
    except OSError as error:
        yield Check("data directory", "fail", f"It cannot be looked at ({error.strerror}): run this as its owner.")
    yield _server(settings)


def _sqlite() -> Check:
    try:
        refuse_affected_version()
    except SqliteTooOld as old:
        return Check("sqlite", "fail", str(old))
    return Check("sqlite", "ok", "This version does not lose commits.")


def _clock(settings: Settings) -> Check:
    if settings.clock_offset_s:
        told = f"The clock is shifted by {settings.clock_offset_s} s: unset NIMRIZ_CLOCK_OFFSET_S after the rehearsal."
        return Check("clock", "warn", told)
    return Check("clock", "ok", "It is not shifted.")


def _open_files() -> Check:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < OPEN_FILES_LOW:
        told = f"Only {hard} connections and files at a time: raise the hard limit to {OPEN_FILES_LOW} (ulimit -Hn)."
        return Check("open files", "warn", told)
    return Check("open files", "ok", "The limit leaves room for many connections.")


def _proxies(settings: Settings) -> Check:
    name = "proxies"
    if settings.proxies.hops_max:
        return Check(name, "ok", f"{settings.trusted_proxy_header} is believed from trusted proxies.")
    if settings.country_header:
        return Check(name, "warn", "No proxy is trusted, so NIMRIZ_COUNTRY_HEADER is never read.")
    if settings.base_url.startswith("https:"):
        told = "None is trusted, so all visitors seem to come from the one that ends TLS: NIMRIZ_TRUSTED_PROXIES."
        return Check(name, "warn", told)
    return Check(name, "ok", "None is trusted: a visitor is whoever connects.")


def _places(settings: Settings) -> Check:
    if settings.geo_file is None:
        told = "from a proxy's header" if settings.country_header else "not known: NIMRIZ_GEO_FILE brings them"
        return Check("countries", "ok", f"They are {told}.")
    try:
        Places(settings.geo_file)
    except AddressFileRefused as refused:
        return Check("countries", "fail", f"{settings.geo_file}: {refused}, so nimriz serve does not start.")
    return Check("countries", "ok", f"They are read from {settings.geo_file}.")


def _networks(settings: Settings) -> Check:
    if settings.network_file is None:
        return Check("networks", "ok", "Data centres are not known: NIMRIZ_NETWORK_FILE brings them.")
    try:
        Networks(settings.network_file)
    except AddressFileRefused as refused:
        return Check("networks", "fail", f"{settings.network_file}: {refused}, so nimriz serve does not start.")
    return Check("networks", "ok", f"Data centres are read from {settings.network_file}.")


def _day_key(path: Path) -> Check:
    name = "day key"
    if not path.exists():
        if os.access(path.parent, os.W_OK | os.X_OK):
            return Check(name, "ok", f"nimriz serve makes it: {path}; keep it out of backups.")
        return Check(name, "fail", f"{path} cannot be made: NIMRIZ_DAY_KEY_FILE names another place.")
    if path.is_symlink() or not path.is_file() or not os.access(path, os.R_OK | os.W_OK):
        return Check(name, "fail", f"{path} is no file that can be written: give it back to its owner, or delete it.")
    if path.stat().st_mode & 0o077:
        return Check(name, "warn", f"Others may read it: chmod 600 {path}")
    return Check(name, "ok", f"Only its owner may read it: {path}; keep it out of backups.")


def _data_directory(path: Path, there: bool) -> Iterator[Check]:
    name = "data directory"
    if not there:
        told = f"{path.absolute()} holds no installation: nimriz serve makes one there, NIMRIZ_DATA_DIR names another."
        yield Check(name, "fail", told)
        return
    if not os.access(path, os.W_OK | os.X_OK):
        yield Check(name, "fail", f"{path.absolute()} cannot be written: give it to the user who runs nimriz serve.")
    elif (kind := _filesystem(path)) in _REMOTE:
        yield Check(name, "fail", f"{path.absolute()} is on a network ({kind}): move it to a disk of this machine.")
    elif kind in _VOLATILE:
        yield Check(name, "warn", f"{path.absolute()} is in memory ({kind}): what it holds ends with the machine.")
    else:
        yield Check(name, "ok", f"{path.absolute()} is on a disk of this machine and can be written.")
    free = shutil.disk_usage(path).free
    told = f"{free / 1024**3:.1f} GiB are free."
    status: Literal["ok", "warn", "fail"] = "ok"
    if free < FREE_BYTES_LOW:
        status, told = ("fail" if free < FREE_BYTES_MIN else "warn"), f"Only {free // 1024**2} MiB are free: make room."
    yield Check("disk space", status, told)


def _filesystem(path: Path) -> str:
    """The kind of file system that a path is on, '' where this system does not tell."""
    found, best = "", -1
    mounts = Path("/proc/self/mountinfo")
    real = path.resolve()
    for line in mounts.read_text("utf-8", "replace").splitlines() if mounts.exists() else ():
        before, _, after = line.partition(" - ")
        mounted = before.split()[4].replace(r"\040", " ")
        # Of two on one place the later one hides the other.
        if real.is_relative_to(mounted) and len(mounted) >= best:
            found, best = after.split()[0], len(mounted)
    return found


def _records(settings: Settings) -> Iterator[Check]:
    key = _open_key(settings)
    if isinstance(key, Check):
        yield key
    try:
        records = Sqlite(settings.data_dir / "records.db")
    except SqliteTooOld:
        return  # The first check has said so.
    try:
        damage = records.read(lambda tx: [str(row[0]) for row in tx.all("pragma quick_check(1)")])
        if damage != ["ok"]:
            yield Check("records", "fail", f"records.db is damaged ({damage[0]}): stop the server, restore a backup.")
            return
        yield Check("records", "ok", "records.db is sound.")
        if isinstance(key, Vault):
            yield records.read(lambda tx: _key_fits(tx, key, settings))
        yield _migrations(settings, records)
        yield from records.read(lambda tx: list(_directory(tx, settings)))
    except StoreError as error:
        yield Check("records", "fail", f"records.db cannot be read ({error}): run this as its owner, or restore it.")
    finally:
        records.close()


def _open_key(settings: Settings) -> Vault | Check:
    try:
        return Vault(vault.load_master_key(settings.master_key, settings.key_file, data_exists=True))
    except VaultRefused as refused:
        told = str(refused)
        return Check("master key", "fail", f"{told[:1].upper()}{told[1:]}; put it back from where it is kept.")


def _key_fits(tx: Tx, opened: Vault, settings: Settings) -> Check:
    name, path = "master key", settings.key_file
    try:
        vault.check_master_key(tx, opened)
    except VaultRefused:
        told = "It is not the one that this data was made with: put the right one back, this data opens with no other."
        return Check(name, "fail", told)
    if settings.master_key:
        return Check(name, "ok", "It fits the data; it comes from NIMRIZ_MASTER_KEY.")
    if path.stat().st_mode & 0o077:
        return Check(name, "warn", f"It fits the data, but others may read it: chmod 600 {path}")
    return Check(name, "ok", f"It fits the data and only its owner may read it: {path}; keep a copy elsewhere.")


def _migrations(settings: Settings, records: Sqlite) -> Check:
    waiting = 0
    try:
        waiting += records.read(lambda tx: pending(tx, "records"))
        for path in sorted(settings.data_dir.glob("clicks-*.db")):
            clicks = Sqlite(path)
            try:
                waiting += clicks.read(lambda tx: pending(tx, "clicks"))
            finally:
                clicks.close()
    except MigrationRefused as refused:
        return Check("migrations", "fail", f"{refused}: run the version that it was written by, or a newer one.")
    if waiting:
        return Check("migrations", "warn", f"{waiting} wait: make a backup, then start nimriz serve, which runs them.")
    return Check("migrations", "ok", "All have run.")


def _directory(tx: Tx, settings: Settings) -> Iterator[Check]:
    named = domains.hosts_of(settings.app_host).default_domain
    stored = next((d.domain_name for d in domains.of_workspace(tx, domains.SHARED)), "")
    if stored == named:
        yield Check("default domain", "ok", f"Short links live on {named}.")
    else:
        told = f"It is {stored or 'not there'} and becomes {named} when nimriz serve starts (NIMRIZ_APP_URL)."
        yield Check("default domain", "warn", told)
    found = workspaces.find_all(tx)
    if not found:
        yield Check("workspaces", "warn", "There is none yet: nimriz workspace create NAME makes one.")
        return
    yield Check("workspaces", "ok", f"There are {len(found)}." if len(found) > 1 else "There is one.")
    secrets = [credentials.list_secrets(tx, w.workspace_id) for w in found]
    live = [sum(s.mode == "live" and s.revoked_at_ms is None for s in of_one) for of_one in secrets]
    now_ms = Clock(settings.clock_offset_s).now_ms()
    unused = sum(s.unused(now_ms) for of_one in secrets for s in of_one)
    if without := live.count(0):
        told = f"{without} of {len(found)} workspaces can post nothing: nimriz secret create WORKSPACE_ID makes one."
        yield Check("signing secrets", "warn", told)
    else:
        yield Check("signing secrets", "ok", f"{sum(live)} live, and every workspace has one.")
    if unused:
        told = f"{unused} have signed nothing for {credentials.UNUSED_DAYS} days: nimriz secret list shows which."
        yield Check("unused secrets", "warn", told)


def _server(settings: Settings) -> Check:
    clock, url = Clock(settings.clock_offset_s), settings.base_url
    try:
        asked_ms = clock.now_ms()
        response = httpx2.get(f"{url}/_health", timeout=5, trust_env=False)
        now_ms = (asked_ms + clock.now_ms()) // 2
        health = response.json()
        apart_ms = abs(from_rfc3339(health["time"]) - now_ms)
        version = str(health["version"])
    except (httpx2.HTTPError, httpx2.InvalidURL):
        return Check(
            "server", "warn", f"Nobody answers at {url}: nimriz serve starts it, NIMRIZ_APP_URL names its place."
        )
    except (ValueError, TypeError, LookupError):
        return Check("server", "fail", f"Something else than nimriz answers at {url}: free the port, or use another.")
    if apart_ms > CLOCK_APART_MS_LOW:
        status: Literal["warn", "fail"] = "fail" if apart_ms > CLOCK_APART_MS_MAX else "warn"
        told = f"Its clock and the one here are {apart_ms // 1000} s apart: set both by NTP, with one clock offset."
        return Check("server", status, told)
    if version != nimriz.__version__:
        return Check("server", "warn", f"It runs version {version}, here is {nimriz.__version__}: start it anew.")
    return Check("server", "ok", f"It answers at {url}, and its clock agrees.")
