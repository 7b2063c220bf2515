"""Counters of one process, as Prometheus reads them.

The hot paths add to plain integers; they become metrics when somebody asks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, cast

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication


def _counter(text: str) -> int:
    return field(default=0, metadata={"help": text})


@dataclass(slots=True)
class Counters:
    """What happened since the process started. Each becomes nimriz_NAME_total."""

    redirects: int = _counter("Visitors sent to a destination.")
    redirects_missed: int = _counter("Requests for a slug that leads nowhere.")
    redirects_unavailable: int = _counter("Visitors asked to try again: the store could not be used.")
    passwords_wrong: int = _counter("Wrong passwords given for a link.")
    passwords_limited: int = _counter("Passwords not looked at: too many attempts.")
    tokens_appended: int = _counter("Click tokens appended to a destination.")
    tokens_suppressed: int = _counter("Clicks of tracked links that got no token, for a reason.")
    clicks_committed: int = _counter("Clicks on disk.")
    clicks_commits: int = _counter("Transactions of the click log.")
    clicks_answered_before_commit: int = _counter("Visitors sent on before their click was on disk.")
    clicks_dropped: int = _counter("Clicks not kept: the queue was full.")
    clicks_converted: int = _counter("Clicks found to have brought a conversion.")
    clicks_forgotten: int = _counter("Clicks deleted: older than the plan keeps them.")
    clicks_lost: int = _counter("Clicks not kept: the disk refused them.")
    agents_skipped: int = _counter("Clicks whose user agent was not read, or could not be written.")
    conversions_recorded: int = _counter("New events on disk.")
    conversions_repeated: int = _counter("Deliveries of an event that was there already.")
    conversions_commits: int = _counter("Transactions of the ledger.")
    conversions_refused: int = _counter("Deliveries refused.")
    conversions_unavailable: int = _counter("Deliveries answered 503.")
    deliveries_left_out: int = _counter("Deliveries of which no note was kept: too many, or the disk refused them.")
    bodies_over_bound: int = _counter("Bodies refused because too many bytes were in flight.")
    signposts_read: int = _counter("Links read from the store for the redirect.")
    signposts_evicted: int = _counter("Links forgotten because the cache was full.")
    changes_seen: int = _counter("Notes of changes read.")
    docket_worked_off: int = _counter("Entries of the docket judged in the background.")
    ledger_rows_sealed: int = _counter("Rows of the live ledger that became part of its chain.")
    domain_lookups: int = _counter("Look-ups of a domain in the DNS.")
    domain_lookups_refused: int = _counter("Look-ups refused because too many ran.")


class _FromCounters(Collector):
    def __init__(self, counters: Counters, gauges: dict[str, tuple[str, object]]) -> None:
        self._counters = counters
        self._gauges = gauges

    def collect(self) -> Iterable[Metric]:
        for f in fields(self._counters):
            yield CounterMetricFamily(f"nimriz_{f.name}", f.metadata["help"], value=getattr(self._counters, f.name))
        for name, (text, read) in self._gauges.items():
            yield GaugeMetricFamily(f"nimriz_{name}", text, value=read() if callable(read) else 0)


def application(counters: Counters, gauges: dict[str, tuple[str, object]]) -> WSGIApplication:
    """What answers with everything that is counted, and with the state of the process itself."""
    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    registry.register(_FromCounters(counters, gauges))
    return cast("WSGIApplication", make_wsgi_app(registry))
