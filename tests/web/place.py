"""One installation seen by two processes: ours, whose reads a test can hold, and another one that changes things."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from nimriz.core.directory import changes, workspaces
from nimriz.core.directory.vault import Vault
from nimriz.core.links import domains, links
from nimriz.core.links.domains import Domain
from nimriz.core.links.links import Link
from nimriz.store.db import Result, StoreError, Tx
from nimriz.store.migrate import migrate
from nimriz.store.sqlite import Sqlite
from nimriz.web.memory import Memory
from nimriz.web.metrics import Counters

NOW_MS = 1_790_000_000_000
PATIENCE_S = 60.0
VAULT = Vault(b"a" * 32)
URL = "https://shop.example/landing"


class Directory:
    """The records as this process sees them: a test can hold the answer to one read, or make reads fail."""

    def __init__(self, database: Sqlite) -> None:
        self._database = database
        self._held = threading.Event()
        self._to_hold = 0
        self.holding = threading.Event()
        self.reads = 0
        self.broken = False

    def hold(self) -> None:
        """Hold back what the next read finds."""
        self._held.clear()
        self.holding.clear()
        self._to_hold = 1

    def release(self) -> None:
        """Let it through."""
        self._held.set()

    def read(self, fn: Callable[[Tx], Result]) -> Result:
        """Read, and perhaps be held on the way back."""
        hold, self._to_hold = self._to_hold, 0
        self.reads += 1
        if self.broken:
            raise StoreError("IOError")
        found = self._database.read(fn)
        if hold:
            self.holding.set()
            assert self._held.wait(PATIENCE_S)
        return found

    def write(self, fn: Callable[[Tx], Result]) -> Result:
        """Memory only reads."""
        raise AssertionError

    def close(self) -> None:
        """Nothing of its own."""


class Place:
    """One installation: this process's directory, and another process that changes things."""

    def __init__(self, path: Path) -> None:
        self.other = Sqlite(path)
        migrate(self.other, "records", NOW_MS)
        self.domain: Domain = self.other.write(lambda tx: domains.ensure_default(tx, "localhost", NOW_MS))
        self.workspace_id = self.other.write(lambda tx: workspaces.create(tx, "Alice's shop", NOW_MS)).workspace_id
        self.own = Sqlite(path)
        self.directory = Directory(self.own)
        self.counters = Counters()

    def memory(self, *, signposts_max: int = 100, signpost_bytes_max: int = 1_000_000, misses_max: int = 100) -> Memory:
        """A new memory."""
        return Memory(
            self.directory, VAULT, self.counters, signposts_max=signposts_max,
            signpost_bytes_max=signpost_bytes_max, misses_max=misses_max,
        )  # fmt: skip

    def link(self, slug: str, long_url: str = URL) -> Link:
        """A link made by the other process."""
        draft = Link("", self.workspace_id, self.domain.domain_id, slug, long_url, "", "[]", "active", None, 302, 1,
                     None, "auto", 0, 0, 0)  # fmt: skip
        return self.other.write(lambda tx: links.create(tx, draft, "operator", NOW_MS))

    def lead(self, link: Link, long_url: str) -> None:
        """The other process lets a link lead elsewhere."""
        self.other.write(lambda tx: links.change(tx, link, link._replace(long_url=long_url), "operator", NOW_MS))

    def note(self, count: int, topic: changes.Topic = "secret", subject: str = "nobody") -> None:
        """So many notes of changes."""

        def write(tx: Tx) -> None:
            for _ in range(count):
                changes.note(tx, topic, subject, NOW_MS)

        self.other.write(write)

    def rename(self, domain_name: str) -> None:
        """The other process serves under another host."""
        self.other.write(lambda tx: domains.ensure_default(tx, domain_name, NOW_MS))

    def close(self) -> None:
        """Let go of what is held, and close."""
        self.directory.release()
        self.own.close()
        self.other.close()

    async def leads_to(self, memory: Memory, slug: str) -> bytes | None:
        """Where a slug leads, as the redirect finds out: from memory, or else read."""
        signpost = memory.signposts.get((self.domain.domain_id, slug)) or await memory.signpost(self.domain, slug)
        return None if signpost is None else signpost.own.destination


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run a story to its end, or fail."""

    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await story

    asyncio.run(bounded())


async def until(condition: Callable[[], bool]) -> None:
    """Let others go on until something is so."""
    while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
        await asyncio.sleep(0.001)
