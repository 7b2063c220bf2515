"""Metrics: everything that is counted can be read on a listener of its own."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields

import httpx2
import pytest

from nimriz.web import metrics, operations
from nimriz.web.metrics import Counters
from tests.patience import PATIENCE_S
from tests.ports import own_port

Gauges = dict[str, tuple[str, object]]


def get(url: str, **headers: str) -> httpx2.Response:
    """Ask, with patience."""
    return httpx2.get(url, headers=headers, timeout=PATIENCE_S)


@contextmanager
def listening(counters: Counters, gauges: Gauges) -> Iterator[str]:
    """Where the listener answers."""
    port = own_port()
    server, thread = operations.listen(metrics.application(counters, gauges), lambda _: False, "127.0.0.1", port)
    try:
        yield f"http://127.0.0.1:{port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def values(url: str) -> dict[str, float]:
    """Every metric of ours by its name."""
    text = get(url).text
    return {name: float(value) for name, value in re.findall(r"^nimriz_(\w+) (\S+)$", text, re.MULTILINE)}


def test_every_counter_is_told_with_its_name_its_value_and_a_sentence() -> None:
    counters = Counters()
    names = [f.name for f in fields(Counters)]
    for number, name in enumerate(names, 1):
        setattr(counters, name, number)
    with listening(counters, {}) as url:
        assert values(url) == {f"{name}_total": float(number) for number, name in enumerate(names, 1)}
        text = get(url).text
    for f in fields(Counters):
        assert f"# HELP nimriz_{f.name}_total {f.metadata['help']}\n" in text
        assert f"# TYPE nimriz_{f.name}_total counter\n" in text
        assert re.fullmatch(r"[A-Z].+\.", f.metadata["help"])


def test_a_new_process_begins_at_0_and_what_happens_later_is_seen_later() -> None:
    counters = Counters()
    with listening(counters, {}) as url:
        assert set(values(url).values()) == {0.0}
        counters.redirects += 3
        assert values(url)["redirects_total"] == 3.0


def test_every_gauge_is_asked_at_the_moment_of_reading() -> None:
    waiting = [1, 2, 3]
    gauges: Gauges = {
        "clicks_queued": ("Clicks that wait for the disk.", lambda: len(waiting)),
        "signposts_remembered": ("Links in memory.", lambda: 7),
    }
    with listening(Counters(), gauges) as url:
        told = values(url)
        assert (told["clicks_queued"], told["signposts_remembered"]) == (3.0, 7.0)
        waiting.clear()
        assert values(url)["clicks_queued"] == 0.0
        assert "# TYPE nimriz_clicks_queued gauge\n" in get(url).text
        assert "# HELP nimriz_clicks_queued Clicks that wait for the disk.\n" in get(url).text


def test_the_process_itself_is_told_too() -> None:
    with listening(Counters(), {}) as url:
        text = get(url).text
    for name in ("process_resident_memory_bytes", "process_open_fds", "python_info", "python_gc_collections_total"):
        assert re.search(rf"^{name}(\{{| )", text, re.MULTILINE), name


def test_an_address_that_is_taken_is_an_os_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            operations.listen(metrics.application(Counters(), {}), lambda _: False, "127.0.0.1", taken.getsockname()[1])
