"""The load: wrk on a core of its own, what it measured, and the table that says so."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stage import BROWSER, HERE, LOAD_CORE, Server, pinned


@dataclass(frozen=True, slots=True)
class Round:
    """What wrk measured in one round."""

    requests: int
    duration_s: float
    p50_ms: float
    p99_ms: float
    rewound: int
    errors: dict[str, int]
    cpu_s: float = 0.0

    @property
    def cpu_us(self) -> float:
        """What one answer cost the server, in microseconds of its processes' time."""
        return self.cpu_s / self.requests * 1_000_000

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.requests / self.duration_s


@dataclass
class Series:
    """All rounds of one server under one load."""

    name: str
    rounds: list[Round] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """The median of the rounds' rates."""
        return statistics.median(r.rate for r in self.rounds)

    @property
    def p50_ms(self) -> float:
        """The median of the rounds' medians."""
        return statistics.median(r.p50_ms for r in self.rounds)

    @property
    def cpu_us(self) -> float:
        """The median of what an answer cost."""
        return statistics.median(r.cpu_us for r in self.rounds)

    @property
    def p99_ms(self) -> float:
        """The median of the rounds' 99th percentiles."""
        return statistics.median(r.p99_ms for r in self.rounds)


def load(server: Server, seconds: float, connections: int, requests: tuple[Path, int] | None = None) -> Round:
    """Ask a server for some seconds, each connection at once again after its answer.

    `requests` are a file of whole requests and the size of each. Ends the program when a request fails.
    """
    command = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{max(1, round(seconds))}s"]
    command += [
        "--timeout",
        "10s",
        "--header",
        f"User-Agent: {BROWSER}",
        "--script",
        str(HERE / "load.lua"),
        server.url,
    ]
    if requests is not None:
        command += ["--", str(requests[0]), str(requests[1])]
    spent_s = server.cpu_s()
    ran = subprocess.run(pinned(LOAD_CORE, command), capture_output=True, text=True, check=False)
    if ran.returncode:
        sys.exit(f"wrk failed: {ran.stderr or ran.stdout}")
    said = Round(**json.loads(ran.stdout.splitlines()[-1]), cpu_s=server.cpu_s() - spent_s)
    failed = {kind: count for kind, count in said.errors.items() if count}
    if failed or not said.requests:
        sys.exit(f"{server.url}: {said.requests} answers, and errors: {failed}")
    return said


def rotated(names: Sequence[str], by: int) -> list[str]:
    """The names in their order, beginning with another one each time."""
    return [names[(i + by) % len(names)] for i in range(len(names))]


def table(title: str, series: Sequence[Series], beside: Mapping[str, Series]) -> str:
    """The medians as a table, each rate beside the rates of some others."""
    head = f"{title:34}{'requests/s':>12}{'p50':>11}{'p99':>11}{'CPU each':>11}" + "".join(
        f"{'of ' + name:>12}" for name in beside
    )
    lines = [head, "-" * len(head)]
    for one in series:
        ratios = "".join(f"{one.rate / other.rate:12.2f}" for other in beside.values())
        lines.append(
            f"{one.name:34}{one.rate:12,.0f}{one.p50_ms:8.2f} ms{one.p99_ms:8.2f} ms{one.cpu_us:8.1f} µs{ratios}"
        )
    return "\n".join(lines)


def expectation(text: str, value: float, least: float) -> str:
    """A line that says what was expected, and whether it was met."""
    return f"expected: {text} ≥ {least:g}; measured {value:.2f}: {'met' if value >= least else 'NOT met'}"
