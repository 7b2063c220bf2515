"""Asking the process that owns the columnar store: from the event loop, or from a command."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nimriz.analytics import wire
from nimriz.store.db import StoreError

ANSWER_S_MAX = 60.0
"""So long an answer may take."""
_LOOK_EVERY_S = 0.05


class Unavailable(StoreError):
    """Nobody answers, or the store is still being made."""


async def ask(data_dir: Path, request: dict[str, Any], wait_s: float) -> Any:
    """What the store answers. Waits so long for a process that is being started. Raises Unavailable."""
    reader, writer = await _connected(data_dir, asyncio.get_running_loop().time() + wait_s)
    try:
        async with asyncio.timeout(wait_s + ANSWER_S_MAX):
            writer.write(wire.packed(request))
            await writer.drain()
            text = await reader.readexactly(wire.length_of(await reader.readexactly(wire.HEAD_BYTES)))
    except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
        raise Unavailable("it broke off") from error
    finally:
        writer.close()
    return _answer(wire.unpacked(text))


async def _connected(data_dir: Path, ends_s: float) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    while True:
        try:
            with wire.socket_path(data_dir) as path:
                return await asyncio.open_unix_connection(path)
        except OSError:
            if asyncio.get_running_loop().time() > ends_s:
                raise Unavailable("nobody answers") from None
        await asyncio.sleep(_LOOK_EVERY_S)


def command(data_dir: Path, request: dict[str, Any], told: Callable[[int, int], None]) -> Any:
    """The same from a command: `told` hears how far it is, and of how much. Raises Unavailable."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            with wire.socket_path(data_dir) as path:
                connection.connect(path)
            connection.sendall(wire.packed(request))
            while (message := wire.receive(connection)) is not None:
                if "progress" not in message:
                    return _answer(message)
                told(*message["progress"])
        except OSError:
            pass
    raise Unavailable("nobody answers")


def _answer(message: dict[str, Any]) -> Any:
    if "failed" in message:
        raise Unavailable(message["failed"])
    return message["answer"]
