"""Rate limits: a token bucket per address and per workspace. A rate of 0 is no limit."""

from __future__ import annotations

import math
import time

from nimriz.base.errors import Refused
from nimriz.web.memory import Shelf

_BUCKETS_MAX = 100_000


class Buckets:
    """Two rows of buckets. A bucket holds one second's worth, so short bursts pass."""

    def __init__(self, address_rate_per_s: int, workspace_rate_per_s: int) -> None:
        self._address_rate = address_rate_per_s
        self._workspace_rate = workspace_rate_per_s
        self._levels: Shelf[tuple[str, str], tuple[float, float]] = Shelf(_BUCKETS_MAX)

    def take_address(self, address: str) -> None:
        """Count a request from an address; raises Refused(rate_limited)."""
        if self._address_rate:
            self._take(("address", address), self._address_rate)

    def take_workspace(self, workspace_id: str) -> None:
        """Count a request to a workspace; raises Refused(rate_limited)."""
        if self._workspace_rate:
            self._take(("workspace", workspace_id), self._workspace_rate)

    def _take(self, key: tuple[str, str], rate: int) -> None:
        now_s = time.monotonic()
        level, then_s = self._levels.get(key) or (float(rate), now_s)
        level = min(float(rate), level + (now_s - then_s) * rate)
        if level < 1:
            self._levels.put(key, (level, now_s))
            raise Refused("rate_limited", retry_after_s=max(1, math.ceil((1 - level) / rate)))
        self._levels.put(key, (level - 1, now_s))
