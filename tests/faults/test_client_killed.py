"""kill -9 of the caller, anywhere between put and acknowledgement: nothing is lost, and nothing is doubled."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from nimriz.client import Client, Outbox
from tests.client.faulty import HANG, Faulty, faulty
from tests.patience import until
from tests.world import Served, Workspace

CALLER = """
import itertools, sys
from nimriz.client import Client, Outbox, sale, sending

url, workspace_id, secret, path, name = sys.argv[1:]
outbox = Outbox(path)
with Client(url, workspace_id, secret) as client, sending(client, outbox, look_every_s=0.001):
    for number in itertools.count():
        event_id = f"{name}-{number}"
        outbox.put(sale(event_id, value="1.00", currency="USD"))
        print(event_id, flush=True)  # Only now does the caller rely on it.
"""


def killed(world: Workspace, proxy: Faulty, path: Path, name: str, enough: int) -> list[str]:
    """Run a caller that puts and sends as fast as it can, kill it in the middle, and tell what it relied on."""
    arguments = [proxy.url, world.workspace_id, world.signing_secret, str(path), name]
    caller = subprocess.Popen([sys.executable, "-c", CALLER, *arguments], stdout=subprocess.PIPE, text=True)
    assert caller.stdout is not None
    relied_on = [caller.stdout.readline().strip() for _ in range(enough)]
    until(lambda: len(proxy.asked) > 0)
    caller.send_signal(signal.SIGKILL)
    rest, _ = caller.communicate()
    return [*relied_on, *rest.split()]


def test_a_caller_that_is_killed_loses_nothing_and_doubles_nothing(
    served: Served, world: Workspace, tmp_path: Path
) -> None:
    path = tmp_path / "outbox.db"
    relied_on: list[str] = []
    with faulty(served.url) as proxy:
        for run, enough in enumerate((1, 7, 40, 120)):
            proxy.asked.clear()
            relied_on += killed(world, proxy, path, f"run{run}", enough)
    with Client(served.url, world.workspace_id, world.signing_secret) as client:
        outbox = Outbox(path)
        flushed = client.flush(outbox, deadline_s=60)
        assert (flushed.waiting, flushed.refused, flushed.different) == (0, 0, 0)
    kept: list[str] = []
    asked: dict[str, str] = {}
    while True:
        page = world.get("/api/v1/conversions", limit=1000, **asked).json()
        kept += [event["event"]["event_id"] for event in page["conversions"]]
        if page["next_cursor"] is None:
            break
        asked = {"cursor": page["next_cursor"]}
    assert len(kept) == len(set(kept))
    assert set(relied_on) <= set(kept)
    # At most one more from each run: put, and killed before it was said.
    assert len(kept) - len(relied_on) <= 4


def test_a_caller_killed_between_send_and_acknowledgement_sends_again_and_it_counts_once(
    served: Served, world: Workspace, tmp_path: Path
) -> None:
    path = tmp_path / "outbox.db"
    with faulty(served.url) as proxy:
        proxy.faults = [HANG]
        # The proxy has it, and hands it on, while the caller hears nothing and is killed.
        killed(world, proxy, path, "unheard", 1)
        (asked, *_) = proxy.asked
        signed = {n: asked.headers[n] for n in ("x-nim-timestamp", "x-nim-signature", "content-type")}
        arrived = world.client.post(asked.path, content=asked.body, headers=signed)
        assert arrived.status_code == 200, arrived.text
    outbox = Outbox(path)
    assert outbox.waiting() >= 1
    with Client(served.url, world.workspace_id, world.signing_secret) as client:
        answers: list[bool] = []
        client.flush(outbox, told=lambda verdict: answers.append(getattr(verdict, "duplicate", False)))
    assert answers[0] is True
    figures = world.get("/api/v1/analytics/conversions").json()["unattributed"]
    assert figures["sales"] == len(answers)
