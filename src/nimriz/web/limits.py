"""Rate limits: token buckets, one for each key. A rate of 0 is no limit.

A bucket holds what may come at once and fills steadily. All of a process are in memory and bounded.
"""

from __future__ import annotations

import ipaddress
import math
import time
from typing import NamedTuple

from nimriz.base.errors import Refused
from nimriz.web.memory import Shelf

_BUCKETS_MAX = 100_000


class Rate(NamedTuple):
    """How much may come: `per_s` in the long run, `at_once` in a burst."""

    per_s: float
    at_once: float


class _Buckets:
    """Buckets by what they are for and whose they are."""

    def __init__(self) -> None:
        self._levels: Shelf[tuple[str, ...], tuple[float, float]] = Shelf(_BUCKETS_MAX)

    def _take(self, key: tuple[str, ...], rate: Rate) -> None:
        """Raises Refused(rate_limited) when the bucket is empty; being refused costs nothing."""
        if not rate.per_s:
            return
        now_s = time.monotonic()
        level, then_s = self._levels.get(key) or (rate.at_once, now_s)
        level = min(rate.at_once, level + (now_s - then_s) * rate.per_s)
        if level < 1:
            self._levels.put(key, (level, now_s))
            raise Refused("rate_limited", retry_after_s=max(1, math.ceil((1 - level) / rate.per_s)))
        self._levels.put(key, (level - 1, now_s))

    def _give_back(self, key: tuple[str, ...]) -> None:
        held = self._levels.get(key)
        if held is not None:
            self._levels.put(key, (held[0] + 1, held[1]))


class Buckets(_Buckets):
    """The Conversion API's: one for each address and one for each workspace. A burst of 0 is one second's worth."""

    def __init__(
        self, address_rate_per_s: int, workspace_rate_per_s: int, address_burst: int = 0, workspace_burst: int = 0
    ) -> None:
        super().__init__()
        self._address_rate = Rate(address_rate_per_s, address_burst or address_rate_per_s)
        self._workspace_rate = Rate(workspace_rate_per_s, workspace_burst or workspace_rate_per_s)

    def take_address(self, address: str) -> None:
        """Count a request from an address, of IPv6 from its /64 network; raises Refused(rate_limited)."""
        if self._address_rate.per_s:
            self._take(("address", _household(address)), self._address_rate)

    def take_workspace(self, workspace_id: str) -> None:
        """Count a request to a workspace; raises Refused(rate_limited)."""
        self._take(("workspace", workspace_id), self._workspace_rate)


class Attempts(_Buckets):
    """Attempts at passwords: few from one address at one link, and not many at one link from everywhere.

    A right password gives its attempt back: the bound is on guessing, not on visitors.
    """

    BY_ADDRESS = Rate(per_s=1 / 6, at_once=10)
    BY_LINK = Rate(per_s=1, at_once=100)

    def take(self, address: str, link_id: str) -> None:
        """Count an attempt; raises Refused(rate_limited)."""
        own = (_household(address), link_id)
        self._take(own, self.BY_ADDRESS)
        try:
            self._take((link_id,), self.BY_LINK)
        except Refused:
            self._give_back(own)
            raise

    def give_back(self, address: str, link_id: str) -> None:
        """The password was right."""
        self._give_back((_household(address), link_id))
        self._give_back((link_id,))


class SignIns(_Buckets):
    """Attempts at signing in: each account slows down, for everybody who is not its member, and is never locked.

    A code has a million values and its owner's password was right already: fewer attempts than at a password.
    """

    BY_ADDRESS = Rate(per_s=1 / 6, at_once=10)
    BY_ACCOUNT = Rate(per_s=1 / 2, at_once=50)
    CODES = Rate(per_s=1 / 60, at_once=10)

    def take(self, address: str, account: str) -> None:
        """Count an attempt at a password; raises Refused(rate_limited)."""
        own = ("password", _household(address), account)
        self._take(own, self.BY_ADDRESS)
        try:
            self._take(("password", account), self.BY_ACCOUNT)
        except Refused:
            self._give_back(own)
            raise

    def give_back(self, address: str, account: str) -> None:
        """The password was right."""
        self._give_back(("password", _household(address), account))
        self._give_back(("password", account))

    def take_code(self, account: str) -> None:
        """Count an attempt at a code; raises Refused(rate_limited)."""
        self._take(("code", account), self.CODES)

    def give_code_back(self, account: str) -> None:
        """The code was right."""
        self._give_back(("code", account))


def _household(address: str) -> str:
    """An IPv4 address, or the /64 of an IPv6 one, in which one visitor may have any address (RFC 6177)."""
    try:
        packed = ipaddress.IPv6Address(address).packed
    except ValueError:
        return address
    return packed[:8].hex()
