"""The clients: the steps of a delivery, taken over real sockets, blocking or not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx2

from nimriz.client import delivery, flushing
from nimriz.client.answers import GaveUp, Recorded, Refused, Reply, Trouble
from nimriz.client.delivery import ANSWER_BYTES_MAX, Do, Patience, Post, Result, Steps, Wait
from nimriz.client.events import encode
from nimriz.client.flushing import Flushed, Told
from nimriz.client.outbox import Outbox

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PLAIN = {"Accept-Encoding": "identity", "Accept": "application/json"}


class Client:
    """Sends events to one workspace, and blocks until they are there. May be shared by threads.

    Several signing secrets sign together, which leaves no gap while they are changed. `http` brings proxies and
    certificates of your own; it is yours to close.
    """

    def __init__(
        self,
        url: str,
        workspace_id: str,
        signing_secret: str | Sequence[str],
        *,
        patience: Patience | None = None,
        http: httpx2.Client | None = None,
    ) -> None:
        self._target = delivery.target(url, workspace_id, signing_secret, patience or Patience())
        self._own = http is None
        self._http = http or httpx2.Client(trust_env=_leaves_the_machine(url))

    def send(self, event: Mapping[str, Any], *, deadline_s: float | None = None) -> Recorded:
        """Send one event until it is recorded. Raises Refused, GaveUp, and ValueError for what is no event."""
        return self._take(delivery.deliver(self._target, encode(event), self._ends_s(deadline_s)))

    def validate(self, event: Mapping[str, Any], *, deadline_s: float | None = None) -> Recorded:
        """What would become of an event; nothing is recorded."""
        raw = encode(event)
        return self._take(delivery.deliver(self._target, raw, self._ends_s(deadline_s), validate_only=True))

    def send_many(
        self, events: Iterable[Mapping[str, Any]], *, deadline_s: float | None = None
    ) -> list[Recorded | Refused | GaveUp]:
        """Send any number of events in batches; what became of each, in their order. Raises ValueError alone."""
        raws = [encode(event) for event in events]
        return self._take(delivery.deliver_many(self._target, raws, self._ends_s(deadline_s)))

    def flush(
        self,
        outbox: Outbox,
        *,
        deadline_s: float | None = None,
        patient: bool = True,
        told: Told | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> Flushed:
        """Send what waits in the outbox until nothing does or the deadline has come; `told` hears each verdict.

        While another sender has its turn, wait for it, unless not `patient`. Raises Refused when everything is
        refused, such as with a revoked secret: all of it waits on.
        """
        ends_s = self._ends_s(deadline_s)
        return self._take(flushing.flush(self._target, outbox, ends_s, patient=patient, told=told), pause)

    def close(self) -> None:
        """Close the connections, where they are the client's own."""
        if self._own:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ends_s(self, deadline_s: float | None) -> float:
        return time.monotonic() + (self._target.patience.deadline_s if deadline_s is None else deadline_s)

    def _take(self, steps: Steps[Result], pause: Callable[[float], None] = time.sleep) -> Result:
        with closing(steps):
            answer: Any = None
            while True:
                try:
                    step = steps.send(answer)
                except StopIteration as done:
                    result: Result = done.value
                    return result
                answer = None
                if isinstance(step, Post):
                    answer = self._post(step)
                elif isinstance(step, Wait):
                    pause(step.seconds)
                else:
                    answer = step.call()

    def _post(self, post: Post) -> Reply | Trouble:
        ends_s = time.monotonic() + post.timeout_s
        body = bytearray()
        try:
            with self._http.stream(
                "POST", post.url, content=post.content, headers=_PLAIN | post.headers, timeout=post.timeout_s,
                follow_redirects=False,
            ) as response:  # fmt: skip
                for some in response.iter_bytes():
                    body += some
                    if trouble := _too_much(body, ends_s):
                        return trouble
                return Reply(response.status_code, response.headers, bytes(body))
        except httpx2.HTTPError as error:
            return Trouble(type(error).__name__)


class AsyncClient:
    """The same for an event loop: nothing blocks, files are written by a thread."""

    def __init__(
        self,
        url: str,
        workspace_id: str,
        signing_secret: str | Sequence[str],
        *,
        patience: Patience | None = None,
        http: httpx2.AsyncClient | None = None,
    ) -> None:
        self._target = delivery.target(url, workspace_id, signing_secret, patience or Patience())
        self._own = http is None
        self._http = http or httpx2.AsyncClient(trust_env=_leaves_the_machine(url))

    async def send(self, event: Mapping[str, Any], *, deadline_s: float | None = None) -> Recorded:
        """As `Client.send`."""
        return await self._take(delivery.deliver(self._target, encode(event), self._ends_s(deadline_s)))

    async def validate(self, event: Mapping[str, Any], *, deadline_s: float | None = None) -> Recorded:
        """As `Client.validate`."""
        raw = encode(event)
        return await self._take(delivery.deliver(self._target, raw, self._ends_s(deadline_s), validate_only=True))

    async def send_many(
        self, events: Iterable[Mapping[str, Any]], *, deadline_s: float | None = None
    ) -> list[Recorded | Refused | GaveUp]:
        """As `Client.send_many`."""
        raws = [encode(event) for event in events]
        return await self._take(delivery.deliver_many(self._target, raws, self._ends_s(deadline_s)))

    async def flush(
        self, outbox: Outbox, *, deadline_s: float | None = None, patient: bool = True, told: Told | None = None
    ) -> Flushed:
        """As `Client.flush`."""
        ends_s = self._ends_s(deadline_s)
        return await self._take(flushing.flush(self._target, outbox, ends_s, patient=patient, told=told))

    async def aclose(self) -> None:
        """Close the connections, where they are the client's own."""
        if self._own:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _ends_s(self, deadline_s: float | None) -> float:
        return time.monotonic() + (self._target.patience.deadline_s if deadline_s is None else deadline_s)

    async def _take(self, steps: Steps[Result]) -> Result:
        with closing(steps):
            answer: Any = None
            while True:
                try:
                    step = steps.send(answer)
                except StopIteration as done:
                    result: Result = done.value
                    return result
                answer = None
                if isinstance(step, Post):
                    answer = await self._post(step)
                elif isinstance(step, Wait):
                    await asyncio.sleep(step.seconds)
                elif isinstance(step, Do):
                    answer = await asyncio.to_thread(step.call)

    async def _post(self, post: Post) -> Reply | Trouble:
        ends_s = time.monotonic() + post.timeout_s
        body = bytearray()
        try:
            async with self._http.stream(
                "POST", post.url, content=post.content, headers=_PLAIN | post.headers, timeout=post.timeout_s,
                follow_redirects=False,
            ) as response:  # fmt: skip
                async for some in response.aiter_bytes():
                    body += some
                    if trouble := _too_much(body, ends_s):
                        return trouble
                return Reply(response.status_code, response.headers, bytes(body))
        except httpx2.HTTPError as error:
            return Trouble(type(error).__name__)


def _too_much(body: bytearray, ends_s: float) -> Trouble | None:
    """An answer is bounded in size and in time, however slowly it drips."""
    if len(body) > ANSWER_BYTES_MAX:
        return Trouble("answer_too_long")
    return Trouble("answer_too_slow") if time.monotonic() > ends_s else None


def _leaves_the_machine(url: str) -> bool:
    """No proxy of the environment stands between a machine and itself."""
    return urlsplit(url).hostname not in _LOOPBACK
