"""Look-ups: domains asked for in the DNS, by their owners now and in the background from time to time.

A look-up may take seconds and makes other machines work, so only so many run at once: a caller beyond them
is refused, the background waits its turn. Use from the event loop only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog

from nimriz.base.clock import Clock
from nimriz.base.errors import Refused
from nimriz.core.links import dns, domains, verification
from nimriz.core.links.dns import Records, Server
from nimriz.core.links.domains import Domain
from nimriz.core.links.verification import Terms
from nimriz.store.db import Database, Tx
from nimriz.web.metrics import Counters

LOOKUPS_MAX = 8
_TOGETHER_MAX = 4
_EVERY_S = 2.0
_RETRY_AFTER_S = 5

log = structlog.get_logger()


class Lookups:
    """Asks the resolver in threads of its own; nobody else waits for a slow name server."""

    def __init__(
        self, records: Database, clock: Clock, counters: Counters, terms: Terms, servers: Sequence[Server]
    ) -> None:
        self.terms = terms
        self._records = records
        self._clock = clock
        self._counters = counters
        self._servers = servers
        self._asking = 0
        self._threads = ThreadPoolExecutor(LOOKUPS_MAX + _TOGETHER_MAX, thread_name_prefix="lookups")

    def close(self) -> None:
        """Begin no more look-ups."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def ask(self, domain: Domain) -> Records:
        """What the DNS says now, at most 5 s later. Raises Refused(rate_limited) when too many ask."""
        if self._asking >= LOOKUPS_MAX:
            self._counters.domain_lookups_refused += 1
            raise Refused("rate_limited", retry_after_s=_RETRY_AFTER_S)
        self._asking += 1
        try:
            return await self._look(domain)
        finally:
            self._asking -= 1

    async def recheck(self, recheck_ms: int) -> None:
        """Look up some of those domains whose time has come. Raises StoreError."""
        now_ms = self._clock.now_ms()
        waiting = await asyncio.to_thread(
            self._records.read, lambda tx: domains.due(tx, now_ms, recheck_ms, _TOGETHER_MAX)
        )
        if not waiting:
            return
        found = await asyncio.gather(*(self._look(domain) for domain in waiting))

        def write(tx: Tx) -> None:
            for seen, records in zip(waiting, found, strict=True):
                domain = domains.find(tx, seen.domain_id)
                if domain is not None:
                    verification.settle(tx, domain, records, self.terms, now_ms)

        await asyncio.to_thread(self._records.write, write)

    async def watch(self, recheck_ms: int) -> None:
        """Look domains up again, for as long as the process runs."""
        while True:
            await asyncio.sleep(_EVERY_S)
            try:
                await self.recheck(recheck_ms)
            except Exception as error:
                log.error("domains_not_checked", error=type(error).__name__)

    async def _look(self, domain: Domain) -> Records:
        if self.terms.vouches(domain):
            return dns.NOT_ASKED
        self._counters.domain_lookups += 1
        return await asyncio.get_running_loop().run_in_executor(
            self._threads,
            lambda: dns.look(self._servers, domain.domain_name, addresses=bool(self.terms.addresses)),
        )
