"""One visitor is one hash all day, in every process, and nobody can tell afterwards whose it was."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from nimriz.base.clock import DAY_MS
from nimriz.core.clicks.visitors import HASH_BYTES, KEY_BYTES, LEAD_MS, DayKeys

MIDNIGHT = 20_000 * DAY_MS
NOON = MIDNIGHT + DAY_MS // 2
NEXT_MIDNIGHT = MIDNIGHT + DAY_MS
ASKING = """
import sys
from pathlib import Path
from nimriz.core.clicks.visitors import DayKeys
print(DayKeys(Path(sys.argv[1]), int(sys.argv[2])).hash(int(sys.argv[2]), "workspace", "198.51.100.7", b"agent").hex())
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file of the day's key is to lie, in a folder of its own."""
    return tmp_path / "day.key"


def ask(keys: DayKeys, now_ms: int) -> bytes:
    return keys.hash(now_ms, "workspace", "198.51.100.7", b"agent")


def keys_in(content: bytes) -> list[bytes]:
    """The keys in the two slots of the file, as far as they are filled."""
    slots = [content[4 : 4 + KEY_BYTES], content[8 + KEY_BYTES : 8 + 2 * KEY_BYTES]]
    return [key for key in slots if key != bytes(KEY_BYTES)]


def everything_beside(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.parent.rglob("*") if file.is_file())


# --- the hash ----------------------------------------------------------------------------------------------------


def test_a_visitor_is_one_hash_all_day_and_another_tomorrow(path: Path) -> None:
    keys = DayKeys(path, MIDNIGHT)
    first = ask(keys, MIDNIGHT)
    assert len(first) == HASH_BYTES
    for now_ms in range(MIDNIGHT, NEXT_MIDNIGHT, DAY_MS // 100):
        keys.refresh(now_ms)
        assert ask(keys, now_ms) == first
    keys.refresh(NEXT_MIDNIGHT)
    assert ask(keys, NEXT_MIDNIGHT) not in (first, b"")


def test_workspace_address_and_user_agent_each_make_another_visitor(path: Path) -> None:
    keys = DayKeys(path, NOON)
    visitors = [
        ("one", "198.51.100.7", b"agent"), ("two", "198.51.100.7", b"agent"), ("one", "198.51.100.8", b"agent"),
        ("one", "198.51.100.7", b"agent 2"), ("one", "198.51.100.7", b""), ("one", "198.51.100.", b"7agent"),
        ("one1", "98.51.100.7", b"agent"), ("one", "198.51.100.7agent", b""), ("one", "", b"198.51.100.7\0agent"),
    ]  # fmt: skip
    assert len({keys.hash(NOON, *visitor) for visitor in visitors}) == len(visitors)


def test_a_user_agent_counts_up_to_its_bound(path: Path) -> None:
    keys = DayKeys(path, NOON)
    told = {keys.hash(NOON, "w", "a", b"x" * 512 + rest) for rest in (b"", b"y", b"z" * 100_000)}
    assert len(told) == 1
    assert keys.hash(NOON, "w", "a", b"x" * 511) not in told


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> DayKeys:
    """Keys that no test changes."""
    return DayKeys(tmp_path_factory.mktemp("keys") / "day.key", NOON)


@given(st.text(), st.text(), st.binary(max_size=2_000))
def test_any_visitor_has_a_hash(shared: DayKeys, workspace_id: str, address: str, user_agent: bytes) -> None:
    assert len(shared.hash(NOON, workspace_id, address, user_agent)) == HASH_BYTES
    assert len(shared.hash(NOON, workspace_id + "\ud800", address, user_agent)) == HASH_BYTES


def test_two_installations_never_agree(tmp_path: Path) -> None:
    told = {ask(DayKeys(tmp_path / str(number), NOON), NOON) for number in range(20)}
    assert len(told) == 20


# --- the key and its file ----------------------------------------------------------------------------------------


def test_a_restart_within_the_day_goes_on_with_the_key(path: Path) -> None:
    before = ask(DayKeys(path, NOON), NOON)
    content = path.read_bytes()
    assert ask(DayKeys(path, NEXT_MIDNIGHT - 1), NEXT_MIDNIGHT - 1) == before
    assert keys_in(path.read_bytes())[0] == keys_in(content)[0]


def test_the_file_is_its_owners_alone_whoever_made_it(path: Path) -> None:
    path.touch(0o666)
    path.chmod(0o666)
    DayKeys(path, NOON)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_link_in_the_place_of_the_file_is_not_followed(path: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"precious")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        DayKeys(path, NOON)
    assert (tmp_path / "elsewhere").read_bytes() == b"precious"


def test_nothing_of_a_key_is_left_when_its_day_is_over(path: Path) -> None:
    keys = DayKeys(path, NOON)
    past = set()
    inode = path.stat().st_ino
    for day in range(1, 6):
        past |= set(keys_in(path.read_bytes()))
        for now_ms in (NOON + day * DAY_MS - DAY_MS // 2 - 1, NOON + day * DAY_MS):
            keys.refresh(now_ms)
    present = everything_beside(path)
    assert len(past) == 5
    assert [key for key in past if key in present] == []
    # In place: a new file would leave the old one's bytes to whoever reads the disk.
    assert path.stat().st_ino == inode
    assert [file.name for file in path.parent.iterdir()] == ["day.key"]
    assert ask(keys, NOON) == b""


def test_a_start_destroys_a_key_that_was_left_from_another_day(path: Path) -> None:
    DayKeys(path, NOON)
    (old,) = keys_in(path.read_bytes())
    DayKeys(path, NOON + 40 * DAY_MS)
    assert old not in everything_beside(path)


@pytest.mark.parametrize("damage", [b"", b"x", b"\0" * 56, b"x" * 1_000, None])
def test_a_damaged_file_is_made_anew(path: Path, damage: bytes | None) -> None:
    DayKeys(path, NOON)
    content = path.read_bytes()
    path.write_bytes(content[:10] + b"!" + content[11:] if damage is None else damage)
    keys = DayKeys(path, NOON)
    assert len(path.read_bytes()) == len(content)
    assert ask(DayKeys(path, NOON), NOON) == ask(keys, NOON) != b""


# --- midnight ----------------------------------------------------------------------------------------------------


def test_tomorrows_key_is_there_before_midnight_and_nobody_waits_for_the_disk(path: Path) -> None:
    keys, other = DayKeys(path, NOON), DayKeys(path, NOON)
    keys.refresh(NEXT_MIDNIGHT - LEAD_MS)
    other.refresh(NEXT_MIDNIGHT - LEAD_MS + 900)
    path.unlink()
    assert ask(keys, NEXT_MIDNIGHT) == ask(other, NEXT_MIDNIGHT) != b""
    assert ask(keys, NEXT_MIDNIGHT - 1) == ask(other, NEXT_MIDNIGHT - 1) == ask(keys, NOON) != ask(keys, NEXT_MIDNIGHT)


def test_a_click_of_just_before_midnight_brings_no_key_back(path: Path) -> None:
    keys = DayKeys(path, NEXT_MIDNIGHT - 1_000)
    yesterday, today = ask(keys, NEXT_MIDNIGHT - 1), ask(keys, NEXT_MIDNIGHT)
    old, new = keys_in(path.read_bytes())
    keys.refresh(NEXT_MIDNIGHT)
    assert ask(keys, NEXT_MIDNIGHT - 1) == today != yesterday
    assert old not in everything_beside(path)
    assert new in everything_beside(path)


def test_a_clock_put_back_a_little_across_midnight_brings_no_key_back(path: Path) -> None:
    keys = DayKeys(path, NEXT_MIDNIGHT - 1_000)
    yesterday, today = ask(keys, NEXT_MIDNIGHT - 1), ask(keys, NEXT_MIDNIGHT)
    keys.refresh(NEXT_MIDNIGHT)
    content = path.read_bytes()
    keys.refresh(NEXT_MIDNIGHT - 5_000)
    assert path.read_bytes() == content
    for asked in (keys, DayKeys(path, NEXT_MIDNIGHT - 5_000)):
        assert ask(asked, NEXT_MIDNIGHT - 5_000) == ask(asked, NEXT_MIDNIGHT) == today != yesterday


def test_a_clock_put_back_by_days_makes_new_keys(path: Path) -> None:
    keys = DayKeys(path, NOON)
    before = ask(keys, NOON)
    ahead = NOON + 30 * DAY_MS
    keys.refresh(ahead)
    (far,) = keys_in(path.read_bytes())
    shifted = ask(keys, ahead)
    keys.refresh(NOON)
    assert far not in everything_beside(path)
    assert len({before, shifted, ask(keys, NOON), b""}) == 4
    assert ask(keys, ahead) == b""


def test_while_the_disk_refuses_the_old_key_is_not_used_and_it_is_logged_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = DayKeys(path, NOON)

    def refuse(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr(os, "fsync", refuse)
        keys.refresh(NOON + DAY_MS)
        keys.refresh(NOON + DAY_MS + 1_000)
        assert ask(keys, NOON) == ask(keys, NOON + DAY_MS) == b""
    assert [line["event"] for line in logs] == ["day_key_not_kept"]
    keys.refresh(NOON + DAY_MS + 2_000)
    assert ask(keys, NOON + DAY_MS) != b""


# --- processes ---------------------------------------------------------------------------------------------------


def test_processes_that_start_at_once_agree(path: Path) -> None:
    for now_ms in (NOON, NEXT_MIDNIGHT - 1, NEXT_MIDNIGHT, NOON + 2 * DAY_MS):
        running = [
            subprocess.Popen([sys.executable, "-c", ASKING, path, str(now_ms)], stdout=subprocess.PIPE, text=True)
            for _ in range(4)
        ]
        told = {process.communicate(timeout=180)[0].strip() for process in running}
        assert {process.returncode for process in running} == {0}
        assert told == {ask(DayKeys(path, now_ms), now_ms).hex()}


def test_whoever_comes_first_makes_the_key_and_the_others_wait(path: Path) -> None:
    for day in range(30):
        now_ms, together = NOON + day * DAY_MS, threading.Barrier(6)

        def told(now_ms: int = now_ms, together: threading.Barrier = together) -> bytes:
            together.wait(30)
            return ask(DayKeys(path, now_ms), now_ms)

        with ThreadPoolExecutor(6) as pool:
            assert len({answer.result() for answer in [pool.submit(told) for _ in range(6)]}) == 1


def test_processes_agree_through_every_midnight(path: Path) -> None:
    one, other = DayKeys(path, NOON), DayKeys(path, NOON)
    for now_ms in range(NOON, NOON + 3 * DAY_MS, LEAD_MS // 3):
        one.refresh(now_ms)
        assert ask(one, now_ms) == ask(other, now_ms) != b""
        other.refresh(now_ms + 700)
        assert ask(one, now_ms) == ask(other, now_ms) != b""
