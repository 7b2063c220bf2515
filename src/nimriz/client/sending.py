"""Sending in the background: an outbox is emptied while the program does something else."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from nimriz.client.answers import ClientError, Refused
from nimriz.client.calling import AsyncClient, Client
from nimriz.client.flushing import ANOTHER_SENDS, Flushed, Told
from nimriz.client.outbox import Outbox

LOOK_EVERY_S = 0.5
LAST_S = 5.0
_REST_S = 10.0

# Codes and counts, never an event: what it says may stand in anybody's log.
_logger = logging.getLogger("nimriz.client")


class _Stopped(Exception):
    pass


@contextmanager
def sending(
    client: Client,
    outbox: Outbox,
    *,
    look_every_s: float = LOOK_EVERY_S,
    last_s: float = LAST_S,
    told: Told | None = None,
) -> Iterator[None]:
    """A thread sends what is put into the outbox while the block runs; at its end, for `last_s` more.

    What then still waits, or waits because the process was killed, is sent by the next one.
    """
    stop = threading.Event()

    def pause(seconds: float) -> None:
        if stop.wait(seconds):
            raise _Stopped

    def send() -> None:
        while not stop.is_set():
            rest_s = look_every_s
            try:
                if outbox.waiting():
                    rest_s = _rest_s(client.flush(outbox, patient=False, told=told, pause=pause), look_every_s)
            except _Stopped:
                break
            except Exception as error:  # Whatever it is, what waits is tried again.
                rest_s = _noted(error)
            stop.wait(rest_s)

    thread = threading.Thread(target=send, name="nimriz-sending", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        if outbox.waiting():
            try:
                _rest_s(client.flush(outbox, deadline_s=last_s, told=told), 0.0)
            except ClientError as error:
                _noted(error)


@asynccontextmanager
async def sending_async(
    client: AsyncClient,
    outbox: Outbox,
    *,
    look_every_s: float = LOOK_EVERY_S,
    last_s: float = LAST_S,
    told: Told | None = None,
) -> AsyncIterator[None]:
    """The same as a task of the running event loop."""

    async def send() -> None:
        while True:
            rest_s = look_every_s
            try:
                if await asyncio.to_thread(outbox.waiting):
                    rest_s = _rest_s(await client.flush(outbox, patient=False, told=told), look_every_s)
            except Exception as error:  # Whatever it is, what waits is tried again.
                rest_s = _noted(error)
            await asyncio.sleep(rest_s)

    task = asyncio.create_task(send())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if await asyncio.to_thread(outbox.waiting):
            try:
                _rest_s(await client.flush(outbox, deadline_s=last_s, told=told), 0.0)
            except ClientError as error:
                _noted(error)


def _rest_s(flushed: Flushed, look_every_s: float) -> float:
    if flushed.refused:
        _logger.error("%d events were refused for good and are kept in the outbox", flushed.refused)
    if flushed.different:
        _logger.error("%d events were sent again with another meaning", flushed.different)
    if flushed.trouble and flushed.trouble != ANOTHER_SENDS:
        _logger.warning("%d events wait in the outbox: %s", flushed.waiting, flushed.trouble)
    return look_every_s


def _noted(error: Exception) -> float:
    code = f"{error.status} {error.code}" if isinstance(error, Refused) else type(error).__name__
    _logger.error("the outbox cannot be sent: %s", code)
    return _REST_S
