"""The main job over real HTTP, from an empty directory to the report: click, token, outcome, verdict, report.

Starts the real server, plays a customer's story against it, and compares every figure with what it must be.
Promises to leave nothing behind: neither a process nor a file, however it ends.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Iterator
from types import FrameType

import httpx2
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from nimriz.base.clock import DAY_MS, to_rfc3339
from nimriz.demo import figures, story
from nimriz.demo.customer import Body, Customer, moved_in
from nimriz.demo.scenes import SCENES, tell
from nimriz.demo.server import DemoStopped, Server, installation

WIDTH_WITHOUT_TERMINAL = 100
_TIMEOUT_S = 15.0


def run() -> int:
    """Play the demo and print its report; 0 when every figure is right, else 1."""
    plain = not sys.stdout.isatty()
    console = Console(width=WIDTH_WITHOUT_TERMINAL if plain else None, highlight=False, markup=False, emoji=False)
    started_s = time.monotonic()
    try:
        with _ended_alike(), installation() as server:
            wrong, compared = _play(server, console)
    except DemoStopped as stopped:
        print(str(stopped), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("The demo was stopped.", file=sys.stderr)
        return 1
    console.print()
    for line in wrong:
        console.print(f"Wrong: {line}.")
    took = f"after {time.monotonic() - started_s:.1f} s"
    if wrong:
        console.print(f"{len(wrong)} of {compared} figures differ from what they must be, {took}.")
        return 1
    console.print(f"All {compared} figures are what they must be, {took}.")
    return 0


def _play(server: Server, console: Console) -> tuple[list[str], int]:
    """The figures that are wrong, and how many were compared."""
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip
    with httpx2.Client(base_url=server.url, trust_env=False, timeout=_TIMEOUT_S) as client, bar:
        task = bar.add_task("starting the server", total=story.STEPS + len(SCENES) + 1)
        server.start(-story.DAYS_AGO * DAY_MS // 1000)
        customer = moved_in(server, client)
        stage = story.Stage(customer, lambda: bar.advance(task))
        bar.update(task, description=f"{story.DAYS_AGO} days ago")
        story.long_ago(stage)
        bar.update(task, description="restarting the server")
        server.stop()
        server.start()
        bar.update(task, description="today")
        story.today(stage)
        told = Table.grid("", "", padding=(0, 2))
        for scene in SCENES:
            told.add_row(*tell(scene, stage))
            stage.step()
        found = figures.found(_report(customer))
        stage.step()
    console.print(figures.table(found))
    console.print()
    console.print(told)
    wrong = stage.wrong + figures.differences(figures.EXPECTED, found, "")
    return wrong, stage.compared + figures.count(figures.EXPECTED)


def _report(customer: Customer) -> Body:
    """The report by link over everything: the days of the podcast too."""
    now_ms = customer.server.clock.now_ms()
    from_ms, to_ms = now_ms - (story.DAYS_AGO + 1) * DAY_MS, now_ms + DAY_MS
    return customer.read(
        "/api/v1/analytics/conversions", by="link", **{"from": to_rfc3339(from_ms), "to": to_rfc3339(to_ms)}
    )


@contextlib.contextmanager
def _ended_alike() -> Iterator[None]:
    """SIGTERM ends the demo as Ctrl-C does, so that its server ends too."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
