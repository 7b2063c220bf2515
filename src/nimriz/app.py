"""The application: what one worker process serves, put together and taken down again."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence

import structlog

import nimriz
from nimriz.base.clock import Clock, to_rfc3339
from nimriz.config import Settings
from nimriz.core import changes, creation, credentials, domains, ledger, links, slugs
from nimriz.core.attribution import TokenReader
from nimriz.core.destinations import Policy
from nimriz.core.intake import Answer, Authentic
from nimriz.core.mode import MODES
from nimriz.core.recording import Recorder
from nimriz.core.verification import Terms
from nimriz.installation import ClickLogs, Installation, open_installation
from nimriz.parent import die_with_parent
from nimriz.store.batch import Batcher
from nimriz.store.db import Database, StoreError, Tx
from nimriz.web import metrics, operations
from nimriz.web.api import app as api
from nimriz.web.api.desk import Desk
from nimriz.web.body import Bodies
from nimriz.web.clicklog import ClickLog
from nimriz.web.conversions import Conversions
from nimriz.web.front import Front, Starting
from nimriz.web.gate import Gate
from nimriz.web.limits import Buckets
from nimriz.web.lookups import Lookups
from nimriz.web.memory import Memory
from nimriz.web.metrics import Counters
from nimriz.web.redirect import Redirect
from nimriz.web.turnstile import Turnstile

LINK_OWNERS_MAX = 100_000
REPORTS_MAX = 2
_SWITCH_S = 0.0005
_GC_THRESHOLDS = (20_000, 20, 20)
_TIDY_EVERY_S = 1.0
_FORGET_EVERY_S = 600.0

log = structlog.get_logger()


def application() -> Starting:
    """What granian runs in a worker process."""
    die_with_parent()
    # The writers hold the interpreter for microseconds at a time; the default of 5 ms is for number crunchers.
    sys.setswitchinterval(_SWITCH_S)
    # Requests leave little behind for the collector; looking less often is worth a tenth of the rate.
    gc.set_threshold(*_GC_THRESHOLDS)
    settings = Settings()
    configure_logs(settings)
    return Starting(lambda: _running(settings))


def configure_logs(settings: Settings) -> None:
    """JSON lines on standard error. Nothing is logged that the caller sent."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.EventRenamer("event"),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, settings.log_level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=os.fdopen(os.dup(2), "w", buffering=1)),
        cache_logger_on_first_use=True,
    )


@contextlib.asynccontextmanager
async def _running(settings: Settings) -> AsyncIterator[Front]:
    async with contextlib.AsyncExitStack() as stack:
        installation = await asyncio.to_thread(open_installation, settings)
        stack.callback(installation.close)
        if settings.clock_offset_s:
            log.warning("clock_shifted", offset_s=settings.clock_offset_s)
        clock, counters, records = installation.clock, Counters(), installation.records
        logs = ClickLogs(settings.data_dir, clock.now_ms())
        stack.callback(logs.close)
        memory = Memory(
            records, installation.vault, counters,
            signposts_max=settings.signposts_max, signpost_bytes_max=settings.signpost_bytes_max,
            misses_max=settings.misses_max,
        )  # fmt: skip
        await memory.start()
        stack.push_async_callback(memory.stop)
        click_log = ClickLog(
            logs.own, counters, wait_ms_max=settings.click_wait_ms_max,
            batch_max=settings.click_batch_max, queue_max=settings.click_queue_max,
        )  # fmt: skip
        stack.push_async_callback(click_log.close)
        reader = TokenReader(installation.keyring, links.workspace_of, LINK_OWNERS_MAX)
        recorder = Recorder(records, installation.vault, reader, clock.now_ms, settings.rejudge_max)

        def commit(units: list[Sequence[Authentic]]) -> list[list[Answer] | Exception]:
            counters.conversions_commits += 1
            return recorder.commit(units)

        batcher: Batcher[Sequence[Authentic], list[Answer] | Exception] = Batcher(
            commit, name="ledger-writer", batch_max=settings.conversion_batch_max,
            queue_max=settings.conversion_queue_max, wait_ms_max=settings.conversion_wait_ms_max,
        )  # fmt: skip
        stack.push_async_callback(batcher.close)
        used: set[str] = set()
        tidying = asyncio.create_task(_tidy(installation, recorder, counters, used))
        stack.callback(tidying.cancel)
        lookups = Lookups(
            records, clock, counters,
            Terms(settings.vouched_names, settings.addresses_of_domains), settings.name_servers,
        )  # fmt: skip
        stack.callback(lookups.close)
        watching = asyncio.create_task(lookups.watch(settings.domain_recheck_s * 1000))
        stack.callback(watching.cancel)
        gauges: dict[str, tuple[str, object]] = {
            "clicks_queued": ("Clicks that wait for the disk.", lambda: click_log.queued),
            "conversions_queued": ("Deliveries that wait for the disk.", lambda: batcher.queued),
            "signposts_remembered": ("Links in memory.", lambda: len(memory.signposts)),
            "misses_remembered": ("Slugs in memory that lead nowhere.", lambda: len(memory.misses)),
        }
        if settings.metrics_port:
            try:
                server, _ = operations.listen(
                    metrics.application(counters, gauges), lambda name: _has_traffic(installation, name),
                    settings.metrics_host, settings.metrics_port,
                )  # fmt: skip
                stack.callback(server.server_close)
                stack.callback(server.shutdown)
            except OSError as error:
                log.warning("metrics_listener_not_opened", port=settings.metrics_port, error=error.strerror)
        desk = Desk(
            records,
            logs.all,
            installation.vault,
            memory,
            clock,
            settings.base_url,
            Policy(installation.hosts.application, settings.private_destinations),
            lookups,
            asyncio.Semaphore(REPORTS_MAX),
        )
        bodies = Bodies(counters, timeout_s=settings.body_timeout_s, in_flight_max=settings.body_bytes_in_flight_max)
        plain_host = "" if settings.base_url.startswith("https:") else installation.hosts.default_domain
        gate = Gate(installation.vault, bodies, clock, counters, plain_host)
        stack.callback(gate.close)
        turnstile = Turnstile(records, clock)
        stack.push_async_callback(turnstile.close)
        # What is here now stays; the collector need not look at it again.
        gc.collect()
        gc.freeze()
        yield Front(
            installation.hosts,
            memory,
            Redirect(memory, installation.keyring, click_log, gate, turnstile, clock, counters),
            Conversions(
                memory, recorder, batcher, clock, counters,
                Buckets(settings.address_rate_per_s, settings.conversion_rate_per_s),
                bodies, used, wait_ms_max=settings.conversion_wait_ms_max,
            ),
            api.build(desk, bodies),
            lambda: _health(clock),
            lambda: _ready(records, recorder),
        )  # fmt: skip
        log.info("stopping")


def _has_traffic(installation: Installation, host: str) -> bool:
    """Whether visitors come to this host by right. Raises StoreError."""
    return host in installation.hosts.application or installation.records.read(
        lambda tx: domains.may_have_certificate(tx, host)
    )


def _health(clock: Clock) -> dict[str, object]:
    return {
        "status": "ok",
        "version": nimriz.__version__,
        "time": to_rfc3339(clock.now_ms()),
        "clock_offset_s": clock.offset_s,
    }


async def _ready(records: Database, recorder: Recorder) -> dict[str, object]:
    try:
        await asyncio.to_thread(records.read, changes.newest)
    except StoreError:
        return {"ready": False, "records": "unavailable"}
    if recorder.failing:
        try:
            await asyncio.to_thread(records.write, _try_to_write)
        except StoreError:
            return {"ready": False, "records": "refuses writes"}
        recorder.failing = False
    return {"ready": True, "records": "ok"}


def _try_to_write(tx: Tx) -> None:
    tx.run(
        "insert into installation (name, value) values ('trial', :value) "
        "on conflict (name) do update set value = excluded.value",
        {"value": os.urandom(16)},
    )


async def _tidy(installation: Installation, recorder: Recorder, counters: Counters, used: set[str]) -> None:
    """What is done in the background: the docket, the last use of secrets, and what may be forgotten."""
    forgotten_s = 0.0
    while True:
        await asyncio.sleep(_TIDY_EVERY_S)
        try:
            for mode in MODES:
                counters.docket_worked_off += await asyncio.to_thread(recorder.work_off, mode)
            now_ms = installation.clock.now_ms()
            if used:
                seen = set(used)
                used.clear()
                await asyncio.to_thread(
                    installation.records.write, lambda tx, s=seen, n=now_ms: credentials.mark_used(tx, s, n)
                )
            if time.monotonic() - forgotten_s > _FORGET_EVERY_S:
                forgotten_s = time.monotonic()
                await asyncio.to_thread(installation.records.write, lambda tx, n=now_ms: _forget(tx, n))
        except Exception as error:
            log.error("tidying_failed", error=type(error).__name__)


def _forget(tx: Tx, now_ms: int) -> None:
    changes.forget_old(tx, now_ms)
    slugs.forget_old(tx, now_ms)
    creation.forget_old(tx, now_ms)
    for mode in MODES:
        ledger.forget_keys(tx, mode, now_ms)
