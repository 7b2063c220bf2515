"""How the processes speak: a length in four bytes, then JSON. Both ends are ours; nothing else reaches the socket.

Numbers may be larger than 64 bits, so the JSON is the standard library's.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SOCKET = "analytics.sock"
MESSAGE_BYTES_MAX = 256 * 1024 * 1024
_LENGTH = struct.Struct("!I")
HEAD_BYTES = _LENGTH.size
_PATH_BYTES_MAX = 100
"""A socket's path may have 108 bytes on Linux, 104 elsewhere."""


def packed(message: object) -> bytes:
    """A message as it goes over the socket."""
    text = json.dumps(message, separators=(",", ":")).encode()
    return _LENGTH.pack(len(text)) + text


def length_of(head: bytes) -> int:
    """How many bytes follow. Raises ValueError for more than a message may have."""
    (length,) = _LENGTH.unpack(head)
    if length > MESSAGE_BYTES_MAX:
        raise ValueError("a message that is too long")
    return int(length)


def unpacked(text: bytes) -> Any:
    """A message."""
    return json.loads(text)


def receive(connection: socket.socket) -> Any:
    """The next message of a blocking socket; None at its end. Raises OSError and ValueError."""
    head = _exactly(connection, HEAD_BYTES)
    if head is None:
        return None
    text = _exactly(connection, length_of(head))
    return None if text is None else unpacked(text)


def _exactly(connection: socket.socket, length: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < length:
        part = connection.recv(min(length - len(parts), 1 << 20))
        if not part:
            return None
        parts += part
    return bytes(parts)


@contextmanager
def socket_path(data_dir: Path) -> Iterator[str]:
    """A name of the socket in a data directory that is short enough for the system."""
    path = data_dir.absolute() / SOCKET
    if len(os.fsencode(path)) <= _PATH_BYTES_MAX or sys.platform != "linux":
        yield str(path)
        return
    folder = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{SOCKET}"
    finally:
        os.close(folder)
