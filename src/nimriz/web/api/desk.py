"""The desk: what the API's endpoints work with, who calls, and how they answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from fastapi import Request
from starlette.responses import Response

from nimriz.analytics import client
from nimriz.base.clock import Clock
from nimriz.base.errors import Refused
from nimriz.core.clicks import clicks
from nimriz.core.directory.credentials import ApiKey
from nimriz.core.directory.vault import Vault
from nimriz.core.ledger.attribution import TokenReader
from nimriz.core.ledger.erasures import Eraser
from nimriz.core.links.destinations import Policy
from nimriz.store.db import Database, Tx
from nimriz.web.api.door import CALLER
from nimriz.web.deliveries import DeliveryLog
from nimriz.web.feed import Feed
from nimriz.web.http import encode
from nimriz.web.lookups import Lookups
from nimriz.web.memory import Memory
from nimriz.web.traits import TraitReader

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Desk:
    """What the API's endpoints work with. `click_logs` opens every process's log for reading."""

    records: Database
    click_logs: Callable[[], list[Database]]
    vault: Vault
    reader: TokenReader
    memory: Memory
    clock: Clock
    base_url: str
    policy: Policy
    lookups: Lookups
    feed: Feed
    data_dir: Path
    analytics_wait_ms_max: int
    traits: TraitReader
    deliveries: DeliveryLog
    # Reports read much; a few at a time leave threads to everybody else.
    reporting: asyncio.Semaphore
    # Passwords take long to hash: threads of their own, so that nothing else waits for them.
    hashing: Executor
    eraser: Eraser
    shared_identity_clicks_min: int
    # Whether the operator has named a folder for scheduled exports.
    schedules_allowed: bool

    async def clicks_of(self, link_ids: Sequence[str]) -> dict[str, int]:
        """How often links were clicked. Raises StoreError."""
        return await asyncio.to_thread(lambda: clicks.count_by_link(self.click_logs(), link_ids))

    async def ask(self, asked: str, question: Mapping[str, Any]) -> Any:
        """Ask the columnar store, a few at a time. Raises Refused(reports_unavailable)."""
        wait_s = self.analytics_wait_ms_max / 1000
        async with self.reporting:
            try:
                return await client.ask(self.data_dir, {"ask": asked, "question": question, "wait_s": wait_s}, wait_s)
            except client.Unavailable:
                raise Refused("reports_unavailable", retry_after_s=1) from None

    async def in_turn(self, fn: Callable[[], Result]) -> Result:
        """Do what may hash passwords, in a thread that nobody else needs."""
        return await asyncio.get_running_loop().run_in_executor(self.hashing, fn)

    async def read(self, fn: Callable[[Tx], Result]) -> Result:
        """Read in a thread. Raises StoreError."""
        return await asyncio.to_thread(self.records.read, fn)

    async def write(self, fn: Callable[[Tx], Result]) -> Result:
        """Write in a thread; what this process remembers is refreshed before the answer. Raises StoreError."""
        result = await asyncio.to_thread(self.records.write, fn)
        await self.memory.refresh()
        return result


def caller(request: Request, scope: str) -> ApiKey:
    """The caller's API key, which the door has checked. Raises Refused(scope_missing)."""
    key: ApiKey = request.scope[CALLER]
    if not key.allows(scope):
        raise Refused("scope_missing", scope=scope)
    return key


def answer(body: object, status: int = 200) -> Response:
    """A JSON response that nobody may keep."""
    return Response(encode(body), status, media_type="application/json", headers={"Cache-Control": "private, no-store"})
