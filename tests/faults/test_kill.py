"""kill -9 in the middle of everything: what was answered is there, once, and one generation answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import apsw
import httpx2
import pytest

from nimriz.base.ids import to_text
from nimriz.installation import open_installation
from tests.patience import PATIENCE_S, until
from tests.world import HUMAN, Served, Workspace, create_workspace, lead, sale, serving

ENOUGH = 50
LOOKS_MAX = 1_200
TOKEN = re.compile(r"nim_ct=([A-Za-z0-9_-]+)")


@dataclass
class Load:
    """What a crowd of visitors and callers was answered."""

    tokens: list[str] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    sent: dict[str, bytes] = field(default_factory=dict)
    new: Counter[str] = field(default_factory=Counter)


def processes(served: Served) -> dict[int, int]:
    """pid -> parent of every living process of the installation."""
    mark = f"NIMRIZ_DATA_DIR={served.data_dir}".encode()
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z" and mark in (entry / "environ").read_bytes().split(b"\0"):
                found[int(entry.name)] = int(parent)
    return found


def workers(served: Served) -> list[int]:
    """The processes that are not the main one."""
    assert served.process is not None
    return [pid for pid in processes(served) if pid != served.process.pid]


def gone(served: Served) -> bool:
    """Whether every process of the installation ends by itself; what does not is ended here."""
    ends_s = time.monotonic() + PATIENCE_S
    while (left := processes(served)) and time.monotonic() < ends_s:
        time.sleep(0.05)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return not left


async def _visit(client: httpx2.AsyncClient, code: str, load: Load) -> None:
    while True:
        response = await client.get(f"/{code}", headers={"User-Agent": HUMAN})
        found = TOKEN.search(response.headers.get("location", ""))
        assert found, response.status_code
        load.tokens.append(found[1])


async def _call(client: httpx2.AsyncClient, world: Workspace, load: Load, caller: int) -> None:
    path = f"/api/conversions/callback/{world.workspace_id}"
    for number in range(1_000_000):
        if not load.tokens:
            await asyncio.sleep(0.001)
            continue
        event_id = f"{caller}-{number}"
        body = json.dumps(
            sale(event_id, "1.00", click_id=random.choice(load.tokens), external_id=f"c{number % 7}")
        ).encode()
        for _ in range(2):
            load.sent[event_id] = body
            response = await client.post(path, content=body, headers=world.sign(body))
            assert response.status_code in (200, 201), response.text
            load.acknowledged.append(event_id)
            load.new[event_id] += response.status_code == 201


def load_until(world: Workspace, stop: Callable[[], object], seconds: float) -> Load:
    """Visitors and callers, until the server is stopped in the middle of it."""
    load = Load()
    code = world.link()["short_code"]

    async def run() -> None:
        limits = httpx2.Limits(max_connections=40)
        async with httpx2.AsyncClient(base_url=world.served.url, limits=limits, timeout=PATIENCE_S) as client:
            crowd = [asyncio.create_task(_visit(client, code, load)) for _ in range(16)]
            crowd += [asyncio.create_task(_call(client, world, load, caller)) for caller in range(16)]
            await asyncio.sleep(seconds)
            await _enough(load)  # On a busy machine that may take longer.
            await asyncio.to_thread(stop)
            for ended in await asyncio.gather(*crowd, return_exceptions=True):
                assert isinstance(ended, httpx2.TransportError), repr(ended)

    asyncio.run(run())
    assert min(len(load.tokens), len(load.acknowledged)) > ENOUGH
    return load


async def _enough(load: Load) -> None:
    """Wait until there is something to lose."""
    for _ in range(LOOKS_MAX):
        if min(len(load.tokens), len(load.acknowledged)) > ENOUGH:
            return
        await asyncio.sleep(0.05)


def clicks_on_disk(served: Served) -> list[str]:
    found: list[str] = []
    for path in served.data_dir.glob("clicks-*.db"):
        connection = apsw.Connection(str(path))
        found += [to_text(row[0]) for row in connection.execute("select click_id from click_rows")]
        connection.close()
    return found


def check(world: Workspace, load: Load) -> None:
    """Every answered click and event is there, once; what was not answered can be sent again."""
    served = world.served
    kept = clicks_on_disk(served)
    assert len(kept) == len(set(kept))
    installation = open_installation(served.settings())
    answered = {to_text(installation.keyring.open(token).click_id) for token in load.tokens}
    installation.close()
    assert answered - set(kept) == set()
    assert len(answered) == len(load.tokens)
    assert set(load.new.values()) <= {0, 1}
    assert Counter(event["event"]["event_id"] for event in events(world)).keys() >= set(load.acknowledged)
    with httpx2.Client(base_url=served.url, timeout=PATIENCE_S) as client:
        for event_id, body in load.sent.items():
            if event_id not in load.acknowledged:
                path = f"/api/conversions/callback/{world.workspace_id}"
                assert client.post(path, content=body, headers=world.sign(body)).status_code in (200, 201)
    there = Counter(event["event"]["event_id"] for event in events(world))
    assert set(there.values()) == {1}
    assert there.keys() == load.sent.keys()
    assert {event["attribution"]["status"] for event in events(world)} == {"attributed"}
    totals = world.get("/api/v1/analytics/conversions").json()["totals"]
    assert (totals["sales"], totals["clicks"]) == (len(load.sent), len(kept))


def events(world: Workspace) -> Iterator[dict[str, dict[str, object]]]:
    cursor = ""
    while True:
        page = world.get("/api/v1/conversions", limit=1_000, cursor=cursor).json()
        yield from page["conversions"]
        cursor = page["next_cursor"]
        if not cursor:
            return


def test_kill_in_the_middle_of_a_load_loses_nothing_that_was_answered(data_dir: Path) -> None:
    with serving(data_dir, click_wait_ms_max="0") as served:
        world = create_workspace(served)
        load = load_until(world, lambda: served.stop(signal.SIGKILL), 1.5)
        assert gone(served), "a worker outlived its main process"
        served.start()
        check(world, load)
        world.client.close()


def test_killing_the_worker_in_the_middle_loses_nothing_that_was_answered(data_dir: Path) -> None:
    with serving(data_dir, click_wait_ms_max="0") as served:
        world = create_workspace(served)
        main = served.process
        (worker,) = [pid for pid, parent in processes(served).items() if main and parent == main.pid and serves(pid)]
        load = load_until(world, lambda: os.kill(worker, signal.SIGKILL), 1.0)
        until(served.is_ready)
        check(world, load)
        world.client.close()


def test_a_graceful_stop_writes_what_was_answered_before_its_commit(data_dir: Path) -> None:
    with serving(data_dir, click_wait_ms_max="1") as served:
        world = create_workspace(served)
        load = load_until(world, lambda: served.stop(signal.SIGTERM), 1.0)
        assert gone(served)
        served.start()
        check(world, load)
        world.client.close()


def serves(pid: int) -> bool:
    """Whether this process answers visitors, rather than keeping books for multiprocessing, reports or exports."""
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        return not any(beside in words for beside in (b"resource_tracker", b"nimriz.analytics", b"nimriz.exporting"))
    return False


def test_kill_of_the_main_process_and_a_restart_at_once_leave_one_generation(data_dir: Path) -> None:
    with serving(data_dir) as served:
        world = create_workspace(served)
        token = world.click(world.link()["short_code"])
        for number in range(3):
            old = set(processes(served))
            served.stop(signal.SIGKILL)
            served.start()
            assert not old & set(processes(served))
            assert served.process is not None
            family = {served.process.pid}
            living = processes(served)
            for _ in living:
                family |= {pid for pid, parent in living.items() if parent in family}
            assert set(living) == family
            world.client.close()
            world.client = httpx2.Client(base_url=served.url, timeout=PATIENCE_S)
            assert world.post(lead(f"e{number}", token)).json()["attribution"]["status"] == "attributed"
        world.client.close()
        served.stop(signal.SIGKILL)
        assert gone(served)


def test_a_killed_worker_is_respawned_and_still_dies_with_its_parent(data_dir: Path) -> None:
    with serving(data_dir) as served:
        world = create_workspace(served)
        code = world.link()["short_code"]
        tokens = [world.click(code)]
        before = workers(served)
        for pid in filter(serves, before):
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
        until(served.is_ready)
        assert set(filter(serves, workers(served))).isdisjoint(before)
        world.client.close()
        with httpx2.Client(base_url=served.url, timeout=PATIENCE_S) as world.client:
            tokens.append(world.click(code))
            for token in tokens:
                answer = world.post(lead(token[-8:], token)).json()
                assert answer["attribution"]["status"] == "attributed"
        time.sleep(2)  # The thread that respawned it may have ended; the worker lives on.
        assert served.is_ready()
        served.stop(signal.SIGKILL)
        assert gone(served), "a respawned worker outlived its main process"


@pytest.mark.parametrize("after_ms", [0, 50, 100, 200, 300, 500])
def test_a_main_process_killed_while_its_worker_starts_leaves_no_orphan(data_dir: Path, after_ms: int) -> None:
    served = Served(data_dir)
    with served.log_path.open("ab") as log:
        served.process = subprocess.Popen(
            [sys.executable, "-m", "nimriz", "serve"], env=served.environment(), stdout=log, stderr=log
        )
    ends_s = time.monotonic() + PATIENCE_S
    while not any(map(serves, workers(served))) and time.monotonic() < ends_s:
        time.sleep(0.005)
    time.sleep(after_ms / 1000)
    served.stop(signal.SIGKILL)
    assert gone(served), "a worker outlived its main process"


def test_a_second_server_on_the_same_data_is_refused_with_a_sentence(data_dir: Path) -> None:
    with serving(data_dir) as served:
        other = Served(data_dir)
        done = subprocess.run(
            [sys.executable, "-m", "nimriz", "serve"], env=other.environment(), capture_output=True, timeout=PATIENCE_S
        )
        assert done.returncode == 1
        assert b"Traceback" not in done.stderr
        assert str(data_dir).encode() in done.stderr + done.stdout
        assert served.is_ready()
