"""Bursts: many clicks at once out of a data centre or a gateway, as scanners of mail make them when mail was sent.

Nobody tells us when mail was sent, so the clicks themselves do. Those who scan come from many addresses and pass for
browsers, hence neither the visitor's hash nor the user agent gives them away alone: what counts is what came within
BURST_MS from one network (/24 of IPv4, /48 of IPv6), or from one user agent out of whichever data centre. A burst is
BURST_DOORS different links or placements, or BURST_CLICKS clicks, all of one workspace.

Keeps no address and no user agent: groups are told apart by a hash whose key is this object's own.
"""

from __future__ import annotations

import ipaddress
import os
from collections import OrderedDict
from collections.abc import Iterator
from hashlib import blake2b
from typing import NamedTuple

from nimriz.core.clicks.quality import Corrected, Judged

WATCHED = ("hosting", "gateway")
"""The sorts of networks in which bursts are looked for."""
BURST_MS = 10_000
BURST_DOORS = 5
BURST_CLICKS = 10
GROUPS_MAX = 20_000
_PREFIXES = {4: 24, 6: 48}
_SCANNED = Judged("bot", "scanner_burst")
# All of a company's people may have opened the same mail: they stay in the reports that do not ask for people only.
_THROUGH_GATEWAY = Judged("suspect", "gateway_burst")


class Sighting(NamedTuple):
    """A click out of a data centre or a gateway; `network` says which."""

    click_seq: int
    workspace_id: str
    link_id: str
    placement: str
    clicked_at_ms: int
    network: str
    address: str
    user_agent: bytes


class _Seen(NamedTuple):
    clicked_at_ms: int
    click_seq: int
    link_id: str
    placement: str
    told: bool


class Bursts:
    """Sees bursts. From one thread; takes clicks about in the order in which they were made.

    Bounded: of a group the last BURST_CLICKS clicks count, and of GROUPS_MAX groups the one seen longest ago is
    forgotten first.
    """

    def __init__(self) -> None:
        self._key = os.urandom(16)
        # No plain dict, which is slow to find its first key once many were taken from its front.
        self._groups: OrderedDict[bytes, tuple[_Seen, ...]] = OrderedDict()

    def see(self, click: Sighting) -> list[Corrected]:
        """The clicks of which this one shows that they are part of a burst; each is told of once a group."""
        judged = _THROUGH_GATEWAY if click.network == "gateway" else _SCANNED
        found: dict[int, Corrected] = {}
        for group in self._groups_of(click):
            for seen in self._add(group, click):
                found[seen.click_seq] = Corrected(seen.click_seq, seen.link_id, click.clicked_at_ms, judged)
        return list(found.values())

    def _groups_of(self, click: Sighting) -> Iterator[bytes]:
        # People behind gateways share their browsers with everybody, so only the network groups them.
        if click.network == "hosting":
            yield self._hash(click, b"agent", click.user_agent)
        try:
            address = ipaddress.ip_address(click.address)
        except ValueError:
            return
        network = ipaddress.ip_network((address, _PREFIXES[address.version]), strict=False)
        yield self._hash(click, b"network", network.network_address.packed)

    def _hash(self, click: Sighting, what: bytes, value: bytes) -> bytes:
        # Neither an id nor these words have a NUL in them.
        told = b"\0".join((click.workspace_id.encode(), click.network.encode(), what, value))
        return blake2b(told, digest_size=16, key=self._key).digest()

    def _add(self, group: bytes, click: Sighting) -> tuple[_Seen, ...]:
        """Put a click into a group; those of it that are to be told of now."""
        now = _Seen(click.clicked_at_ms, click.click_seq, click.link_id, click.placement, told=False)
        before = self._groups.pop(group, ())
        if not before and len(self._groups) >= GROUPS_MAX:
            del self._groups[next(iter(self._groups))]
        # On both sides: two clicks may change places on their way here.
        near = [seen for seen in before if abs(click.clicked_at_ms - seen.clicked_at_ms) <= BURST_MS]
        run = (*near[1 - BURST_CLICKS :], now)
        doors = {(seen.link_id, seen.placement) for seen in run}
        if len(doors) < BURST_DOORS and len(run) < BURST_CLICKS:
            self._groups[group] = run
            return ()
        self._groups[group] = tuple(seen if seen.told else seen._replace(told=True) for seen in run)
        return tuple(seen for seen in run if not seen.told)
