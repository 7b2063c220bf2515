"""The columnar store is killed, damaged and taken away: reports tell what the logs hold, and nothing else notices."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.patience import until
from tests.world import Body, Served, Workspace, create_workspace, follow_on, sale, serving


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose reports wait long enough for a store that is being started on a slow machine."""
    with serving(tmp_path_factory.mktemp("columnar") / "data", analytics_wait_ms_max="20000") as running:
        yield running


def owner(served: Served) -> int | None:
    """The process that owns the store of an installation."""
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdecimal() else []
        except OSError:
            continue
        if b"nimriz.analytics" in words and str(served.data_dir.absolute()).encode() in words[-2]:
            return int(entry.name)
    return None


def kill_owner(served: Served) -> int:
    """Kill it in the middle of whatever it does; which one it was."""
    ends_s = time.monotonic() + 20
    while (process := owner(served)) is None:
        assert time.monotonic() < ends_s, "nobody owns the store"
        time.sleep(0.02)
    os.kill(process, signal.SIGKILL)
    return process


def told(world: Workspace) -> Body:
    """Clicks, sales and money of the workspace, as soon as somebody tells them."""
    ends_s = time.monotonic() + 60
    while (response := world.get("/api/v1/analytics/conversions", by="day")).status_code == 503:
        assert response.json()["code"] == "reports_unavailable"
        assert time.monotonic() < ends_s, "no report"
    totals: Body = response.json()["totals"]
    return {name: totals[name] for name in ("clicks", "tracked_clicks", "sales", "refunds", "attributed", "revenue")}


def sell(world: Workspace, link: Body, name: str) -> None:
    """A click, a sale of it, and a refund of a part."""
    token = world.click(link["short_code"])
    assert world.post(sale(f"{name}-s", "10.00", click_id=token)).status_code == 201
    assert world.post(follow_on("refund", f"{name}-r", "2.50", related_event_id=f"{name}-s")).status_code == 201


def totals_of(count: int) -> Body:
    """What so many of them come to."""
    money = {"currency": "USD", "gross": f"{10 * count}.00", "gross_minor": 1000 * count}
    taken, net = divmod(250 * count, 100), divmod(750 * count, 100)
    money |= {"taken_back": "{}.{:02d}".format(*taken), "taken_back_minor": 250 * count}
    money |= {"net": "{}.{:02d}".format(*net), "net_minor": 750 * count}
    same = dict.fromkeys(("clicks", "tracked_clicks", "sales", "refunds", "attributed"), count)
    return {**same, "revenue": [money]}


def test_killed_again_and_again_it_tells_what_the_logs_hold(served: Served, world: Workspace) -> None:
    link = world.link()
    killed = set()
    for number in range(12):
        sell(world, link, f"k{number}")
        if number % 3 == 2:
            killed.add(kill_owner(served))
    assert told(world) == totals_of(12)
    assert len(killed) == 4


def test_a_damaged_store_is_made_anew_without_help(served: Served, world: Workspace) -> None:
    link = world.link()
    for number in range(3):
        sell(world, link, f"d{number}")
    before = told(world)
    served.stop()
    path = served.data_dir / "analytics.duckdb"
    (served.data_dir / "analytics.duckdb.wal").unlink(missing_ok=True)
    path.write_bytes(b"\xff" * path.stat().st_size)
    served.start()
    assert told(world) == before == totals_of(3)
    served.stop()
    path.unlink()
    served.start()
    assert told(world) == before


def test_a_store_that_somebody_else_has_is_waited_for(served: Served, world: Workspace) -> None:
    link = world.link()
    for number in range(2):
        sell(world, link, f"w{number}")
    before = told(world)
    assert world.client.get("/_ready").json()["reports"] == "ok"
    served.stop()
    path = served.data_dir / "analytics.duckdb"
    same = path.stat().st_ino
    program = "import sys, duckdb; held = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    holder = subprocess.Popen([sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    served.start()
    until(lambda: world.client.get("/_ready").json()["reports"] == "locked")
    sell(world, link, "w2")
    assert world.get("/api/v1/analytics/conversions").json()["code"] == "reports_unavailable"
    holder.communicate()
    assert (before, told(world)) == (totals_of(2), totals_of(3))
    assert (path.stat().st_ino, world.client.get("/_ready").json()["reports"]) == (same, "ok")
    lines = [json.loads(line) for line in served.log_path.read_text().splitlines() if '"analytics_' in line]
    assert [(line["event"], line.get("reason")) for line in lines][-2:] == [
        ("analytics_waits", "locked"), ("analytics_goes_on", None),
    ]  # fmt: skip


def test_made_anew_on_command_it_says_what_it_said(served: Served, world: Workspace) -> None:
    link = world.link()
    for number in range(3):
        sell(world, link, f"r{number}")
    before = told(world)
    made = json.loads(served.run("analytics", "rebuild", "--json").stdout)
    assert made["clicks"] >= 3
    sell(world, link, "r3")
    assert (before, told(world)) == (totals_of(3), totals_of(4))


def test_without_it_reports_are_unavailable_and_nothing_else(tmp_path: Path) -> None:
    with serving(tmp_path / "data", analytics_wait_ms_max="0") as running:
        world = create_workspace(running)
        link = world.link()
        sell(world, link, "first")
        assert told(world)["sales"] <= 1
        address = running.data_dir / "analytics.sock"
        address.rename(address.with_suffix(".away"))
        refused = world.get("/api/v1/analytics/conversions")
        assert (refused.status_code, refused.json()["code"]) == (503, "reports_unavailable")
        assert refused.headers["retry-after"] == "1"
        sell(world, link, "second")
        assert world.client.get("/_ready").json()["ready"] is True
        address.with_suffix(".away").rename(address)
        # Reports here wait for nothing, so both sales may come to them a moment later.
        ends_s = time.monotonic() + 60
        while told(world)["sales"] < 2:
            assert time.monotonic() < ends_s, "the sales never come"
            time.sleep(0.05)
        world.client.close()
