"""Addresses: whose request it is, when there may be proxies in between.

Promises to believe only what a trusted proxy has written. Each proxy appends the address that it was asked from to
the right end of one header; what stands further left came with the request and may be anybody's invention. The
header is chosen once, by a setting: a proxy that writes one of them passes the other on as the visitor sent it.
Never stores an address.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import NamedTuple

X_FORWARDED_FOR = "x-forwarded-for"
FORWARDED = "forwarded"
HEADERS = (X_FORWARDED_FOR, FORWARDED)
HOPS_MAX = 16
NETWORKS_MAX = 1_000

# The longest: an IPv4-mapped IPv6 address in brackets with a port.
_ENTRY_BYTES_MAX = 45 + len("[]:65535")
_ELEMENT_BYTES_MAX = 512
_IPV4_MAPPED = b"\0" * 10 + b"\xff\xff"

# RFC 7239 section 4, in bytes: the pairs of one element, and the address in the value of `for`. Spaces around ";"
# are none of the RFC's and are sent all the same.
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PAIR = re.compile(rb'[ \t]*(%b)=(%b|"(?:[^"\\]|\\.)*")[ \t]*(?:;|\Z)' % (_TOKEN, _TOKEN))
# What some proxies (Azure's, IIS) put into X-Forwarded-For, though no standard says so: the port, too.
_WITH_PORT = re.compile(rb"([0-9.]+):[0-9]{1,5}|\[([0-9A-Fa-f]*:[0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?")
_NODE = re.compile(rb'([0-9.]+)|"([0-9.]+)(?::[0-9]{1,5})?"|"\[([0-9A-Fa-f]*:[0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?"')


class Proxies(NamedTuple):
    """Who is believed. `hops_max` is 0 when nobody is; without networks everybody within that many hops is."""

    hops_max: int = 0
    networks: tuple[tuple[int, int, int], ...] = ()
    header: str = X_FORWARDED_FOR


def read_proxies(networks: str, count: int, header: str = X_FORWARDED_FOR) -> Proxies:
    """The trusted proxies as the settings name them.

    `networks` are addresses and networks, comma-separated; `count` is how many proxies a request passes at most (0:
    as many as the networks cover, at most HOPS_MAX). With both, a proxy must be in the networks and among the first
    `count`. Raises ValueError with a sentence.
    """
    parts = [part.strip() for part in networks.split(",")] if networks.strip() else []
    if len(parts) > NETWORKS_MAX:
        raise ValueError(f"{NETWORKS_MAX} trusted networks are the most")
    if not 0 <= count <= HOPS_MAX:
        raise ValueError(f"the count of trusted proxies is 0 to {HOPS_MAX}")
    if header.lower() not in HEADERS:
        raise ValueError(f"the header of trusted proxies is {' or '.join(HEADERS)}")
    hops_max = count or (HOPS_MAX if parts else 0)
    return Proxies(hops_max, tuple(_read_network(part) for part in parts), header.lower())


def is_trusted(proxies: Proxies, peer: str) -> bool:
    """Whether the other end of the connection is a trusted proxy, so that what it writes of itself is believed."""
    if not proxies.hops_max:
        return False
    packed = _packed(peer)
    return packed is not None and _covers(proxies, packed)


def client_address(proxies: Proxies, peer: str, forwarded_for: Sequence[bytes], forwarded: Sequence[bytes]) -> str:
    """The address that the request came from, in its canonical form; an IPv4-mapped one is IPv4.

    `peer` is the other end of the connection, the others are the lines of `X-Forwarded-For` and `Forwarded` as they
    came. Walks from the right: the first address that is no trusted proxy is the client, and so is the last one that
    was certain where the header ends or is malformed. A `peer` that is no address is returned as it is.
    """
    if not proxies.hops_max and ":" not in peer:
        return peer
    address = _packed(peer)
    if address is None:
        return peer
    if proxies.hops_max and _covers(proxies, address):
        address = _walk(proxies, address, forwarded if proxies.header == FORWARDED else forwarded_for)
    return inet_ntop(AF_INET if len(address) == 4 else AF_INET6, address)


def _walk(proxies: Proxies, address: bytes, lines: Sequence[bytes]) -> bytes:
    """From a trusted peer to the client, `hops_max` entries at most."""
    read = _read_element if proxies.header == FORWARDED else _read_entry
    left = proxies.hops_max
    for line in reversed(lines):
        # Commas inside quotes are not minded: what such a cut leaves has an odd number of quotes and is malformed.
        for entry in line.rsplit(b",", left)[: -left - 1 : -1]:
            told = read(entry)
            if told is None:
                return address
            address, left = told, left - 1
            if not left or not _covers(proxies, address):
                return address
    return address


def _read_entry(entry: bytes) -> bytes | None:
    """The address in an entry of X-Forwarded-For, with a port or without; None for anything else."""
    entry = entry.strip(b" \t")
    if len(entry) > _ENTRY_BYTES_MAX:
        return None
    address = _packed(entry.decode("latin-1"))
    if address is None and (match := _WITH_PORT.fullmatch(entry)):
        address = _packed((match[1] or match[2]).decode())
    return address


def _read_element(element: bytes) -> bytes | None:
    """The address in an element of Forwarded; None when it names none, or is malformed in any part."""
    if len(element) > _ELEMENT_BYTES_MAX:
        return None
    node, start = None, 0
    while start < len(element):
        pair = _PAIR.match(element, start)
        if pair is None:
            return None
        if pair[1].lower() == b"for":
            if node is not None:
                return None
            node = pair[2]
        start = pair.end()
    match = _NODE.fullmatch(node) if node is not None else None
    return _packed((match[1] or match[2] or match[3]).decode()) if match else None


def _read_network(text: str) -> tuple[int, int, int]:
    """A network to compare with: bytes of an address, bits to leave out, the bits that are left."""
    if "%" in text:
        raise ValueError(f"{text!r} is no address and no network")
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no address and no network ({error})") from None
    size, length, bits = network.max_prefixlen // 8, network.prefixlen, int(network.network_address)
    if length == 0:
        raise ValueError(f"{text!r} would trust everybody; give the count of proxies instead")
    if size == 16 and length >= 96 and network.network_address.packed.startswith(_IPV4_MAPPED):
        size, length, bits = 4, length - 96, bits & 0xFFFF_FFFF
        if length == 0:
            raise ValueError(f"{text!r} would trust everybody; give the count of proxies instead")
    return size, size * 8 - length, bits >> (size * 8 - length)


def _packed(text: str) -> bytes | None:
    """An address in 4 or 16 bytes; None for anything else."""
    if "%" in text:  # A zone means something on the machine that wrote it only.
        return None
    try:
        if ":" not in text:
            return inet_pton(AF_INET, text)
        packed = inet_pton(AF_INET6, text)
    except (OSError, ValueError):
        return None
    return packed[12:] if packed.startswith(_IPV4_MAPPED) else packed


def _covers(proxies: Proxies, packed: bytes) -> bool:
    if not proxies.networks:
        return True
    value, length = int.from_bytes(packed, "big"), len(packed)
    for size, shift, bits in proxies.networks:  # noqa: SIM110 - twice as fast as any(), on every request behind a proxy.
        if size == length and value >> shift == bits:
            return True
    return False
