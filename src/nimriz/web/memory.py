"""Memory: what a process keeps of the directory, so that the hot paths ask no store.

Signposts, slugs that lead nowhere, domains, secrets, keys and open surfaces: each on a bounded shelf of
its own. Several times a second the notes of changes are read and what they name is forgotten. What was
read before a change is never put down after it. Credentials are trusted only while those notes are fresh.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from operator import attrgetter
from typing import Any, Generic, NamedTuple, TypeVar

import structlog

from nimriz.core.directory import changes, credentials, entitlements, workspaces
from nimriz.core.directory.credentials import ApiKey, LiveSecret
from nimriz.core.directory.vault import Vault
from nimriz.core.links.domains import Domain
from nimriz.core.routing import signposts
from nimriz.core.routing.signposts import Signpost
from nimriz.store.db import Database, StoreError, Tx
from nimriz.web.metrics import Counters

POLL_S = 0.25
# Credentials must stop within a second; notes older than this are not relied on.
TRUSTED_S = 0.75
# A bulk request notes a thousand; only who has slept for long forgets everything.
_NOTES_MAX = 20_000
_THREADS = 4
_SMALL_SHELF_MAX = 10_000

log = structlog.get_logger()

Key = TypeVar("Key")
Value = TypeVar("Value")


class Access(NamedTuple):
    """What the Conversion API must know of a workspace: who signs for it, and what is open to it."""

    secrets: tuple[LiveSecret, ...]
    surfaces: frozenset[str]


class Shelf(Generic[Key, Value]):
    """A bounded memory: when it is full, what was put down first goes first.

    Bounded in count, and where `weigh` says what a thing weighs, in weight too.
    """

    def __init__(self, count_max: int, weight_max: int = 0, weigh: Callable[[Value], int] | None = None) -> None:
        # No plain dict: to find its first key it walks past every one that was taken from its front before.
        self._items: OrderedDict[Key, Value] = OrderedDict()
        self._count_max = count_max
        self._weight_max = weight_max
        self._weigh = weigh
        self.weight = 0
        self.get = self._items.get

    def __contains__(self, key: Key) -> bool:
        return key in self._items

    def __len__(self) -> int:
        return len(self._items)

    def put(self, key: Key, value: Value) -> int:
        """Put something down, or replace it; how many others had to go."""
        gone = 0
        if self._weigh is not None:
            self.drop(key)
            weight = self._weigh(value)
            while self._items and self.weight + weight > self._weight_max:
                self.drop(next(iter(self._items)))
                gone += 1
            self.weight += weight
        if len(self._items) >= self._count_max and key not in self._items:
            self.drop(next(iter(self._items)))
            gone += 1
        self._items[key] = value
        return gone

    def drop(self, key: Key) -> None:
        """Forget one thing."""
        value = self._items.pop(key, None)
        if value is not None and self._weigh is not None:
            self.weight -= self._weigh(value)

    def clear(self) -> None:
        """Forget everything."""
        self._items.clear()
        self.weight = 0


class Memory:
    """One process's memory. Use from the event loop only."""

    def __init__(
        self,
        records: Database,
        vault: Vault,
        counters: Counters,
        *,
        signposts_max: int,
        signpost_bytes_max: int,
        misses_max: int,
    ) -> None:
        self._records = records
        self._vault = vault
        self._counters = counters
        self.signposts: Shelf[tuple[str, str], Signpost] = Shelf(
            signposts_max, signpost_bytes_max, attrgetter("bytes_count")
        )
        self.misses: Shelf[tuple[str, str], bool] = Shelf(misses_max)
        self.domains: Shelf[str, Domain | None] = Shelf(_SMALL_SHELF_MAX)
        self._access: Shelf[str, Access] = Shelf(_SMALL_SHELF_MAX)
        self._keys: Shelf[bytes, ApiKey | None] = Shelf(_SMALL_SHELF_MAX)
        self._loading: dict[object, asyncio.Future[Any]] = {}
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="memory")
        self._generation = 0
        self._seen_seq = 0
        self._fresh_until_s = 0.0
        self._polling: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to read the notes of changes."""
        self._seen_seq = await asyncio.to_thread(self._records.read, changes.newest)
        self._fresh_until_s = time.monotonic() + TRUSTED_S
        self._polling = asyncio.create_task(self._poll())

    async def stop(self) -> None:
        """Read no more notes."""
        if self._polling is not None:
            self._polling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._polling
        self._threads.shutdown(wait=False)

    @property
    def fresh(self) -> bool:
        """Whether the notes were read recently enough to rely on credentials in memory."""
        return time.monotonic() < self._fresh_until_s

    async def domain(self, host: str) -> Domain | None:
        """The domain of a host, blocked fallbacks left out; None for an unknown one. Raises StoreError."""
        if host in self.domains:
            return self.domains.get(host)
        return await self._load(self.domains, host, lambda tx: signposts.find_domain(tx, host))

    async def signpost(self, domain: Domain, slug: str) -> Signpost | None:
        """The signpost of a slug, read once. Raises StoreError when it is unknown and cannot be read."""
        key = (domain.domain_id, slug)
        if self.misses.get(key):
            return None
        generation = self._generation
        self._counters.signposts_read += 1
        signpost = await self._read(key, lambda tx: signposts.compile_signpost(tx, domain, slug))
        if generation == self._generation:
            if signpost is None:
                self.misses.put(key, True)
            else:
                self._counters.signposts_evicted += self.signposts.put(key, signpost)
        return signpost

    def access_in_memory(self, workspace_id: str) -> Access | None:
        """The access of a workspace, if it is in memory and may be relied on."""
        return self._access.get(workspace_id) if self.fresh else None

    async def access(self, workspace_id: str) -> Access:
        """Who signs for a workspace and what is open to it; an unknown one has nobody. Raises StoreError."""
        return await self._load(self._access, workspace_id, lambda tx: _access(tx, self._vault, workspace_id))

    async def api_key(self, text: str) -> ApiKey | None:
        """The live API key with this text. Raises StoreError."""
        digest = self._vault.api_key_digest(text)
        if self.fresh and digest in self._keys:
            return self._keys.get(digest)
        return await self._load(self._keys, digest, lambda tx: credentials.find_key(tx, digest))

    async def _load(self, shelf: Shelf[Key, Value], key: Key, fn: Callable[[Tx], Value]) -> Value:
        generation = self._generation
        value = await self._read((id(shelf), key), fn)
        if generation == self._generation:
            shelf.put(key, value)
        return value

    async def _read(self, key: object, fn: Callable[[Tx], Value]) -> Value:
        """Read in a thread; those who ask for the same thing meanwhile share the answer."""
        loading = self._loading.get(key)
        if loading is None:
            loading = self._in_thread(fn)
            self._loading[key] = loading
            loading.add_done_callback(lambda done: self._loaded(key, done))
        value: Value = await asyncio.shield(loading)
        return value

    def _in_thread(self, fn: Callable[[Tx], Value]) -> asyncio.Future[Value]:
        # Threads of its own: reports and exports must not stand before a visitor's link.
        return asyncio.get_running_loop().run_in_executor(self._threads, self._records.read, fn)

    def _loaded(self, key: object, done: asyncio.Future[Any]) -> None:
        if self._loading.get(key) is done:
            del self._loading[key]

    async def refresh(self) -> None:
        """Read the notes now: whoever changed something here sees it at once."""
        started_s = time.monotonic()
        notes = await self._in_thread(lambda tx: changes.since(tx, self._seen_seq, _NOTES_MAX))
        self._fresh_until_s = started_s + TRUSTED_S
        notes = [note for note in notes if note.seq > self._seen_seq]
        if notes:
            self._forget(notes)

    async def _poll(self) -> None:
        while True:
            # Known links go on without the store; credentials are asked from it, which is then a 503.
            try:
                await self.refresh()
            except StoreError:
                pass
            except Exception as error:
                log.error("changes_not_read", error=type(error).__name__)
            await asyncio.sleep(POLL_S)

    def _forget(self, notes: list[changes.Change]) -> None:
        self._generation += 1
        self._loading.clear()
        self._seen_seq = notes[-1].seq
        self._counters.changes_seen += len(notes)
        everything = len(notes) >= _NOTES_MAX
        for note in notes:
            if note.topic == "link":
                domain_id, _, slug = note.subject.partition("/")
                self.signposts.drop((domain_id, slug))
                self.misses.drop((domain_id, slug))
            elif note.topic == "secret":
                self._access.drop(note.subject)
            elif note.topic == "key":
                self._keys.clear()
            elif note.topic == "blocklist":
                self.signposts.clear()
                self.domains.clear()
            else:
                everything = True
        if everything:
            for shelf in (self.signposts, self.misses, self.domains, self._access, self._keys):
                shelf.clear()


def _access(tx: Tx, vault: Vault, workspace_id: str) -> Access:
    workspace = workspaces.find(tx, workspace_id)
    if workspace is None:
        return Access((), frozenset())
    return Access(
        credentials.live_secrets(tx, vault, workspace_id),
        entitlements.open_surfaces(tx, workspace_id, workspace.plan),
    )
