"""Destinations: what a link may lead to, judged when it is saved, as browsers parse it.

What is stored is exactly what was given, byte for byte; the canonical form stands beside it. A host is
blocked when it is the service itself, another short domain of this installation or a name that its workspace has
claimed (a link that leads to a link may go round in circles), private, or on a block list.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import ada_url

from nimriz.base.errors import Refused
from nimriz.base.urls import DESTINATION_BYTES_MAX
from nimriz.core.links import blocklist, domains
from nimriz.store.db import Tx

# Where browsers take a backslash for a slash, and skip slashes too many, others find another host.
_ABSOLUTE = re.compile(r"https?://[^/\\?#]+(?:[/?#]|\Z)", re.IGNORECASE)
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\x9f]")
# Names that mean this machine or this network wherever they are asked for: RFC 6761, 8375, 9476, 6762 with its
# appendix G, and what resolvers call the machine itself.
_PRIVATE_NAMES = (
    "localhost", "localdomain", "local", "internal", "home.arpa", "lan", "home", "corp", "intranet", "private",
)  # fmt: skip
# All that is routed globally of IPv6 (RFC 4291, IANA); what lies elsewhere is local, or carries an IPv4 address.
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
# Not routed globally either, although the standard library says so: 6to4 relays (RFC 7526), site-local (RFC 3879),
# local NAT64 (RFC 8215), documentation (RFC 9637), segment routing (RFC 9602).
_NOT_GLOBAL = tuple(
    ipaddress.ip_network(text) for text in ("192.88.99.0/24", "fec0::/10", "64:ff9b:1::/48", "3fff::/20", "5f00::/16")
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_IPV4_COMPATIBLE = ipaddress.ip_network("::/96")


class Destination(NamedTuple):
    """A destination as it was given, and what a browser makes of it. `host` is in its ASCII form."""

    given: str
    canonical: str
    host: str


@dataclass(frozen=True, slots=True)
class Policy:
    """What the installation allows: its own hosts are never a destination, private ones only if it says so."""

    own_hosts: frozenset[str]
    private_allowed: bool


def read(given: str) -> Destination:
    """A destination as browsers parse it.

    Raises Refused(destination_invalid) for anything but an absolute http(s) URL without credentials, spaces, control
    characters and backslashes beside the host, of at most 8,192 bytes as given.
    """
    try:
        size = len(given.encode())
    except UnicodeEncodeError:
        raise Refused("destination_invalid") from None
    # Without the slashes a browser reads `http:path` as a path on the short domain itself.
    if size > DESTINATION_BYTES_MAX or _FORBIDDEN.search(given) or not _ABSOLUTE.match(given):
        raise Refused("destination_invalid")
    try:
        url = ada_url.URL(given)
    except ValueError:
        raise Refused("destination_invalid") from None
    if url.protocol not in ("http:", "https:") or url.username or url.password or not url.hostname:
        raise Refused("destination_invalid")
    return Destination(given, url.href, url.hostname)


def parsed(given: str) -> Destination:
    """A stored destination, without judging it again: what was once accepted goes on."""
    try:
        url = ada_url.URL(given)
    except ValueError:
        return Destination(given, given, "")
    return Destination(given, url.href, url.hostname)


def check(tx: Tx, workspace_id: str, destination: Destination, policy: Policy) -> None:
    """Raises Refused(destination_blocked) when a link of this workspace may not lead there."""
    host = destination.host.rstrip(".")
    if host in policy.own_hosts or domains.is_short_domain(tx, host, workspace_id):
        raise Refused("destination_blocked")
    if not policy.private_allowed and is_private(host):
        raise Refused("destination_blocked")
    if blocklist.blocks(tx, workspace_id, host):
        raise Refused("destination_blocked")


def blocked(tx: Tx, workspace_id: str, stored: Iterable[str]) -> set[str]:
    """Of stored destinations those whose host a list blocks by now: links that lead there have stopped."""
    hosts = {given: parsed(given).host for given in stored}
    on_list = blocklist.among(tx, workspace_id, hosts.values())
    return {given for given, host in hosts.items() if host in on_list}


def is_private(host: str) -> bool:
    """Whether a canonical host is an address that is not routed globally, or a name of the local network.

    IPv4 addresses that travel inside IPv6 (mapped, compatible, NAT64, 6to4, Teredo) are judged as IPv4.
    """
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host in _PRIVATE_NAMES or host.endswith(tuple("." + name for name in _PRIVATE_NAMES))
    return not all(map(_is_global, (address, *_inside(address))))


def _is_global(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if address.version == 6 and not _inside(address) and address not in _GLOBAL_UNICAST:
        return False
    return address.is_global and not address.is_multicast and not any(address in network for network in _NOT_GLOBAL)


def _inside(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    if isinstance(address, ipaddress.IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64 or address in _IPV4_COMPATIBLE:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    return [part for part in found if part is not None]


def for_people(host: str) -> str:
    """A host as people write it: punycode decoded (`bücher.example`), everything else as it is."""
    if "xn--" not in host:
        return host
    try:
        return str(ada_url.idna_to_unicode(host.encode("ascii")))
    except (ValueError, UnicodeError):
        return host
