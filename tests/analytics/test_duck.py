"""The columnar store's file: what is damaged is thrown away, what is only out of reach is waited for."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nimriz.analytics.duck import Store, Unusable
from nimriz.analytics.rows import Rows

HOLDER = "import sys, duckdb; held = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"


def opened(path: Path) -> Store:
    """A store in a file."""
    return Store(path, memory_mib=128, threads=1)


def put(rows: Rows, count: int) -> None:
    """Rows that take some room."""
    rows.all(f"insert into tagsets select 'x' || range, md5(cast(random() as varchar)) from range({count})")


def count_of(store: Store) -> int:
    """How many rows there are."""
    return int(store.read(lambda rows: rows.all("select count(*) from tagsets"))[0][0])


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Somebody else has the file open."""
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    try:
        yield
    finally:
        holder.communicate()


@contextmanager
def full(file_bytes: int) -> Iterator[None]:
    """No file of this process may grow beyond this, which is told like a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_that_somebody_else_has_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store"
    store = opened(path)
    store.write(lambda rows: put(rows, 10))
    store.close()
    before = path.stat().st_ino
    with held(path), pytest.raises(Unusable, match="locked"):
        opened(path)
    again = opened(path)
    assert (count_of(again), path.stat().st_ino) == (10, before)
    again.close()


def test_after_a_full_disk_everything_that_was_written_is_there(tmp_path: Path) -> None:
    path = tmp_path / "store"
    store = opened(path)
    written = 0
    store.write(lambda rows: put(rows, 10))

    def fill() -> None:
        nonlocal written
        for _ in range(50):
            store.write(lambda rows: put(rows, 50_000))
            written += 50_000

    before = path.stat().st_ino
    with full(4_000_000):
        with pytest.raises(Unusable, match="disk_full"):
            fill()
        with pytest.raises(Unusable, match="disk_full"):
            store.write(lambda rows: put(rows, 200_000))
    store.reopen()
    assert (count_of(store), path.stat().st_ino) == (written + 10, before)
    assert written
    store.write(lambda rows: put(rows, 10))
    store.close()


def test_a_file_that_cannot_be_opened_again_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "store"
    store = opened(path)
    store.write(lambda rows: put(rows, 10))
    store.close()
    with held(path):
        with pytest.raises(Unusable, match="locked"):
            store.reopen()
        with pytest.raises(Unusable, match="closed"):
            count_of(store)
    store.reopen()
    assert count_of(store) == 10
    store.close()


@pytest.mark.parametrize("content", [b"", b"DUCK", b"\xff" * 20_000])
def test_what_cannot_be_read_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "store"
    path.write_bytes(content)
    store = opened(path)
    assert count_of(store) == 0
    store.close()


def test_damage_in_the_midst_of_the_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "store"
    store = opened(path)
    store.write(lambda rows: put(rows, 200_000))
    store.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))
    again = opened(path)
    assert count_of(again) == 0
    again.close()
