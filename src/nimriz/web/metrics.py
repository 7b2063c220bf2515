"""Counters of one process, and the listener of its own on which Prometheus reads them.

The hot paths add to plain integers; they become metrics when somebody asks.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


def _counter(text: str) -> int:
    return field(default=0, metadata={"help": text})


@dataclass(slots=True)
class Counters:
    """What happened since the process started. Each becomes nimriz_NAME_total."""

    redirects: int = _counter("Visitors sent to a destination.")
    redirects_missed: int = _counter("Requests for a slug that leads nowhere.")
    tokens_appended: int = _counter("Click tokens appended to a destination.")
    tokens_suppressed: int = _counter("Clicks of tracked links that got no token, for a reason.")
    clicks_committed: int = _counter("Clicks on disk.")
    clicks_commits: int = _counter("Transactions of the click log.")
    clicks_answered_before_commit: int = _counter("Visitors sent on before their click was on disk.")
    clicks_dropped: int = _counter("Clicks not kept: the queue was full.")
    clicks_lost: int = _counter("Clicks not kept: the disk refused them.")
    conversions_recorded: int = _counter("New events on disk.")
    conversions_repeated: int = _counter("Deliveries of an event that was there already.")
    conversions_commits: int = _counter("Transactions of the ledger.")
    conversions_refused: int = _counter("Deliveries refused.")
    conversions_unavailable: int = _counter("Deliveries answered 503.")
    bodies_over_bound: int = _counter("Bodies refused because too many bytes were in flight.")
    signposts_read: int = _counter("Links read from the store for the redirect.")
    signposts_evicted: int = _counter("Links forgotten because the cache was full.")
    changes_seen: int = _counter("Notes of changes read.")
    docket_worked_off: int = _counter("Entries of the docket judged in the background.")


class _FromCounters(Collector):
    def __init__(self, counters: Counters, gauges: dict[str, tuple[str, object]]) -> None:
        self._counters = counters
        self._gauges = gauges

    def collect(self) -> Iterable[Metric]:
        for f in fields(self._counters):
            yield CounterMetricFamily(f"nimriz_{f.name}", f.metadata["help"], value=getattr(self._counters, f.name))
        for name, (text, read) in self._gauges.items():
            yield GaugeMetricFamily(f"nimriz_{name}", text, value=read() if callable(read) else 0)


def listen(
    counters: Counters, gauges: dict[str, tuple[str, object]], host: str, port: int
) -> tuple[WSGIServer, threading.Thread]:
    """Answer /metrics on a listener of its own; raises OSError when the address is taken."""
    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    registry.register(_FromCounters(counters, gauges))
    return start_http_server(port, host, registry=registry)
