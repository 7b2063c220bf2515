"""The application: what one worker process serves, put together and taken down again."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import sys
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog

import nimriz
from nimriz import chores
from nimriz.analytics import client
from nimriz.base.clock import Clock, to_rfc3339
from nimriz.config import Settings
from nimriz.core.clicks.agents import Agents
from nimriz.core.clicks.logbook import Logbook
from nimriz.core.clicks.networks import Networks
from nimriz.core.clicks.places import Places
from nimriz.core.clicks.visitors import DayKeys
from nimriz.core.directory import changes, workspaces
from nimriz.core.ledger.attribution import TokenReader
from nimriz.core.ledger.intake import Answer, Authentic
from nimriz.core.ledger.recording import Recorder
from nimriz.core.links import domains, links
from nimriz.core.links.destinations import Policy
from nimriz.core.links.verification import Terms
from nimriz.installation import ClickLogs, Installation, open_deliveries, open_installation
from nimriz.logs import configure_logs
from nimriz.parent import die_with_parent, on_stop
from nimriz.store.batch import Batcher
from nimriz.store.db import Database, StoreError, Tx
from nimriz.web import metrics, operations
from nimriz.web.api import app as api
from nimriz.web.api.desk import Desk
from nimriz.web.assignments import Assignments
from nimriz.web.body import Bodies
from nimriz.web.clicklog import ClickLog
from nimriz.web.conversions import Conversions
from nimriz.web.dashboard.dashboard import Dashboard
from nimriz.web.deliveries import Bounds, DeliveryLog
from nimriz.web.feed import Feed
from nimriz.web.front import Front, Starting
from nimriz.web.gate import Gate
from nimriz.web.limits import Buckets
from nimriz.web.lookups import Lookups
from nimriz.web.memory import Memory
from nimriz.web.metrics import Counters
from nimriz.web.redirect import Redirect
from nimriz.web.shared import Shared
from nimriz.web.traits import TraitReader
from nimriz.web.turnstile import Turnstile
from nimriz.web.visitor import VisitorReader

LINK_OWNERS_MAX = 100_000
REPORTS_MAX = 2
HASHING_THREADS = 2
_SWITCH_S = 0.0005
_GC_THRESHOLDS = (20_000, 20, 20)
_REPORTS_S_MAX = 0.5
"""So long whoever asks for readiness waits for the state of reports."""

log = structlog.get_logger()


def application() -> Starting:
    """What granian runs in a worker process."""
    die_with_parent()
    # The writers hold the interpreter for microseconds at a time; the default of 5 ms is for number crunchers.
    sys.setswitchinterval(_SWITCH_S)
    # Requests leave little behind for the collector; looking less often is worth a tenth of the rate.
    gc.set_threshold(*_GC_THRESHOLDS)
    settings = Settings()
    configure_logs(settings.log_level)
    return Starting(lambda: _running(settings))


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
        places, networks = Places(settings.geo_file), Networks(settings.network_file)
        days = DayKeys(settings.day_key_path, clock.now_ms())

        def skipped(count: int) -> None:
            counters.agents_skipped += count

        agents = Agents()
        logbook = Logbook(logs.own, agents, places, networks, days, skipped)
        stack.callback(logbook.close)
        click_log = ClickLog(
            logbook, counters, wait_ms_max=settings.click_wait_ms_max,
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
        for chore in (
            chores.judge(recorder, counters),
            chores.tidy(installation, logs.own, counters, used),
            chores.forget(installation, logs.all, counters),
            chores.prove(installation, counters),
            chores.erase(installation),
            chores.watch_files(places, networks, days, clock.now_ms),
        ):
            stack.callback(asyncio.create_task(chore).cancel)
        lookups = Lookups(
            records, clock, counters,
            Terms(settings.vouched_names, settings.addresses_of_domains), settings.name_servers,
        )  # fmt: skip
        stack.callback(lookups.close)
        watching = asyncio.create_task(lookups.watch(settings.domain_recheck_s * 1000))
        stack.callback(watching.cancel)
        feed = Feed(records, logs.all, clock.now_ms)
        # The server waits for answers that are under way, and a stream would be for ever.
        on_stop(feed.close)
        delivery_database = await asyncio.to_thread(open_deliveries, settings.data_dir, clock.now_ms())
        stack.callback(delivery_database.close)
        deliveries = DeliveryLog(
            delivery_database, lambda ids: records.read(lambda tx: workspaces.known(tx, ids)), counters, clock.now_ms,
            Bounds(
                settings.accepted_deliveries_per_hour_max, settings.refused_deliveries_per_hour_max,
                settings.unsigned_deliveries_per_hour_max, settings.accepted_deliveries_days,
            ),
        )  # fmt: skip
        stack.push_async_callback(deliveries.flush)
        stack.callback(asyncio.create_task(deliveries.run()).cancel)
        gauges: dict[str, tuple[str, object]] = {
            "clicks_queued": ("Clicks that wait for the disk.", lambda: click_log.queued),
            "agents_unread": ("Clicks still to be read: their user agent, or a burst.", lambda: logbook.unread),
            "listeners": ("Streams of clicks that are open.", lambda: feed.listening),
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
        hashing = ThreadPoolExecutor(HASHING_THREADS, thread_name_prefix="hashing")
        stack.callback(hashing.shutdown, wait=False, cancel_futures=True)
        traits = TraitReader(agents, places)
        desk = Desk(
            records,
            logs.all,
            installation.vault,
            reader,
            memory,
            clock,
            settings.base_url,
            Policy(installation.hosts.application, settings.private_destinations),
            lookups,
            feed,
            settings.data_dir,
            settings.analytics_wait_ms_max,
            traits,
            deliveries,
            asyncio.Semaphore(REPORTS_MAX),
            hashing,
            installation.eraser,
            settings.shared_identity_clicks_min,
            settings.export_folder is not None,
        )
        bodies = Bodies(counters, timeout_s=settings.body_timeout_s, in_flight_max=settings.body_bytes_in_flight_max)
        plain_host = "" if settings.base_url.startswith("https:") else installation.hosts.default_domain
        visitors = VisitorReader(settings.proxies, settings.country_header.lower().encode())
        gate = Gate(installation.vault, bodies, visitors, clock, counters, plain_host)
        stack.callback(gate.close)
        turnstile = Turnstile(records, clock)
        stack.push_async_callback(turnstile.close)
        # What is here now stays; the collector need not look at it again.
        gc.collect()
        gc.freeze()
        yield Front(
            installation.hosts,
            memory,
            Redirect(
                memory, installation.keyring, click_log, gate, turnstile, visitors,
                traits, Assignments(installation.vault, plain_host), clock, counters,
                signals_honoured=settings.privacy_signals,
            ),
            Conversions(
                memory, recorder, batcher, visitors, clock, counters,
                Buckets(
                    settings.address_rate_per_s, settings.conversion_rate_per_s, settings.address_burst,
                    settings.conversion_burst,
                ),
                bodies, used, deliveries, wait_ms_max=settings.conversion_wait_ms_max,
            ),
            api.build(desk, bodies),
            lambda: _health(clock),
            lambda: _ready(records, recorder, settings.data_dir),
            Shared(desk, bodies, visitors),
            Dashboard(desk, bodies, visitors, agents),
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


async def _ready(records: Database, recorder: Recorder, data_dir: Path) -> dict[str, object]:
    """Whether traffic may come; beside it, whether reports are answered, which traffic does not wait for."""
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
    return {"ready": True, "records": "ok", "reports": await _reports(data_dir)}


async def _reports(data_dir: Path) -> str:
    """What the store behind reports waits for, if it does."""
    try:
        async with asyncio.timeout(_REPORTS_S_MAX):
            told = await client.ask(data_dir, {"ask": "state"}, 0)
    except (client.Unavailable, TimeoutError):
        return "unavailable"
    return told["trouble"] or "ok"


def _try_to_write(tx: Tx) -> None:
    tx.run(
        "insert into installation (name, value) values ('trial', :value) "
        "on conflict (name) do update set value = excluded.value",
        {"value": os.urandom(16)},
    )
