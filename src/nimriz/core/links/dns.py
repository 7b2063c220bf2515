"""The DNS: what a resolver says of a short domain at this moment. Owns no table.

Two questions: which texts stand where the challenge belongs, and to which addresses the name leads. Nothing
is kept, no search list is tried, and both together take at most LOOK_S_MAX. Blocking: call from a thread.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import dns.resolver

CHALLENGE_LABEL = "_nimriz"
LOOK_S_MAX = 5.0
_PORT = 53


class Server(NamedTuple):
    """A name server to ask instead of the system's."""

    address: str
    port: int


class Records(NamedTuple):
    """What the DNS says of a domain. `texts` is None when that could not be found out.

    `addresses` are those that it is known to lead to, IPv4 and IPv6 in their canonical form.
    """

    texts: frozenset[bytes] | None
    addresses: frozenset[str]


NOT_ASKED = Records(None, frozenset())


class _Unavailable(Exception):
    """Nobody gave a definite answer in time."""


def challenge_name(domain_name: str) -> str:
    """Where the challenge of a domain belongs."""
    return f"{CHALLENGE_LABEL}.{domain_name}"


def read_server(text: str) -> Server:
    """`address`, `address:port` or `[address]:port`. Raises ValueError for anything else."""
    try:
        return Server(str(ipaddress.ip_address(text)), _PORT)
    except ValueError:
        parts = urlsplit(f"//{text}")
    if parts.netloc != text or "@" in text or not parts.port:
        raise ValueError("not the address of a name server")
    return Server(str(ipaddress.ip_address(parts.hostname or "")), parts.port)


def look(servers: Sequence[Server], domain_name: str, *, addresses: bool) -> Records:
    """Ask for the challenge of a domain and, where `addresses` says so, where its name leads.

    `servers` are asked in turn; without any, those of the system. Never raises.
    """
    ends_s = time.monotonic() + LOOK_S_MAX
    try:
        answered = _ask(servers, challenge_name(domain_name), "TXT", ends_s)
    except _Unavailable:
        return NOT_ASKED
    found: set[str] = set()
    for kind in ("A", "AAAA") if addresses else ():
        try:
            found |= {str(ipaddress.ip_address(rdata.address)) for rdata in _ask(servers, domain_name, kind, ends_s)}
        except _Unavailable:
            continue
    # A long text travels as several strings of at most 255 bytes (RFC 1035, RFC 7208 section 3.3).
    return Records(frozenset(b"".join(rdata.strings) for rdata in answered), frozenset(found))


def _ask(servers: Sequence[Server], name: str, kind: str, ends_s: float) -> list[Any]:
    """The records of one kind under a name, aliases followed; none when there are none."""
    # Here, because whoever only reads the settings should not wait for it.
    import dns.exception
    import dns.name
    import dns.resolver

    left_s = ends_s - time.monotonic()
    if left_s <= 0:
        raise _Unavailable
    try:
        absolute = dns.name.from_text(f"{name}.")
        answer = _resolver(servers).resolve(absolute, kind, raise_on_no_answer=False, lifetime=left_s, search=False)
    except dns.resolver.NXDOMAIN:
        return []
    except (dns.exception.DNSException, OSError) as error:
        raise _Unavailable from error
    return list(answer.rrset or ())


def _resolver(servers: Sequence[Server]) -> dns.resolver.Resolver:
    import dns.nameserver
    import dns.resolver

    resolver = dns.resolver.Resolver(configure=not servers)
    if servers:
        resolver.nameservers = [dns.nameserver.Do53Nameserver(server.address, server.port) for server in servers]
    return resolver
