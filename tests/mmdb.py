"""Writes `.mmdb` files, as much of the format as publishers of places use.

MaxMind DB file format specification, version 2.0: a binary tree over the bits of an address, the records, metadata.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Mapping

Value = Mapping[str, "Value"] | list["Value"] | str | int | bool | float

_MARKER = b"\xab\xcd\xefMaxMind.com"


def mmdb(networks: Mapping[str, Value], ip_version: int = 6) -> bytes:
    """A database of these networks, none within another."""
    tree: list[list[int | None]] = [[None, None]]
    data, offsets = bytearray(), dict[bytes, int]()
    for text, record in networks.items():
        encoded = _encoded(record)
        offsets.setdefault(encoded, len(data))
        if offsets[encoded] == len(data):
            data += encoded
        _plant(tree, _bits(text, ip_version), -1 - offsets[encoded])
    count = len(tree)
    nodes = b"".join(struct.pack(">II", *(_pointer(side, count) for side in node)) for node in tree)
    metadata = {
        "binary_format_major_version": _uint16(2),
        "binary_format_minor_version": _uint16(0),
        "build_epoch": _control(9, 8) + struct.pack(">Q", 1_800_000_000),
        "database_type": _encoded("Made-For-Tests"),
        "description": _encoded({"en": "made for tests"}),
        "ip_version": _uint16(ip_version),
        "languages": _encoded(["en"]),
        "node_count": _encoded(count),
        "record_size": _uint16(32),
    }
    described = b"".join(_encoded(name) + value for name, value in metadata.items())
    return nodes + bytes(16) + bytes(data) + _MARKER + _control(7, len(metadata)) + described


def _bits(text: str, ip_version: int) -> str:
    network = ipaddress.ip_network(text)
    bits = f"{int(network.network_address):0{network.max_prefixlen}b}"[: network.prefixlen]
    return "0" * 96 + bits if network.version == 4 and ip_version == 6 else bits


def _plant(tree: list[list[int | None]], bits: str, leaf: int) -> None:
    """Walk down, making nodes on the way. A node is known by its number, a leaf by a negative one."""
    node = 0
    for bit in bits[:-1]:
        following = tree[node][int(bit)]
        if following is None:
            tree.append([None, None])
            following = tree[node][int(bit)] = len(tree) - 1
        node = following
    tree[node][int(bits[-1])] = leaf


def _pointer(side: int | None, count: int) -> int:
    if side is None:
        return count
    return side if side >= 0 else count + 16 + (-1 - side)


def _encoded(value: Value) -> bytes:
    match value:
        case bool():
            return _control(14, int(value))
        case str():
            return _control(2, len(value.encode())) + value.encode()
        case int():
            return _control(6, 4) + struct.pack(">I", value)
        case float():
            return _control(3, 8) + struct.pack(">d", value)
        case list():
            return _control(11, len(value)) + b"".join(map(_encoded, value))
        case _:
            return _control(7, len(value)) + b"".join(_encoded(k) + _encoded(v) for k, v in value.items())


def _uint16(number: int) -> bytes:
    return _control(5, 2) + struct.pack(">H", number)


def _control(kind: int, size: int) -> bytes:
    """Type and size: types above 7 have a byte of their own, sizes above 28 one or two."""
    if size < 29:
        head, rest = size, b""
    elif size < 285:
        head, rest = 29, bytes([size - 29])
    else:
        head, rest = 30, struct.pack(">H", size - 285)
    return (bytes([kind << 5 | head]) if kind <= 7 else bytes([head, kind - 7])) + rest
