"""Chores: what a worker does in the background, every second or every few minutes.

Each may run in several processes, twice, or be stopped at any point, and harms nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import structlog

from nimriz.core.clicks import retention
from nimriz.core.clicks.networks import Networks
from nimriz.core.clicks.places import Places
from nimriz.core.clicks.visitors import DayKeys
from nimriz.core.directory import changes, credentials
from nimriz.core.directory.mode import MODES
from nimriz.core.ledger import ledger
from nimriz.core.ledger.recording import Recorder
from nimriz.core.links import creation, slugs
from nimriz.core.members import passes, sessions
from nimriz.core.proof import roots, sealing
from nimriz.installation import Installation
from nimriz.store.db import Database, Tx
from nimriz.web.metrics import Counters

EVERY_S = 1.0
SELDOM_S = 600.0
ERASING_S = 10.0
# While much waits to be sealed and the process is busy otherwise, it may take one part in forty of the time; else half.
SEALING_PARTS = 40
# While much waits to be judged again, it may take one part in ten.
JUDGING_PARTS = 9
BUSY_SHARE = 0.25

Result = TypeVar("Result")
log = structlog.get_logger()


async def watch_files(places: Places, networks: Networks, days: DayKeys, now_ms: Callable[[], int]) -> None:
    """Take up newer files, and destroy the key of a day that is over. Apart, so that no store delays it."""
    while True:
        await asyncio.sleep(EVERY_S)
        await _do("day_key", partial(days.refresh, now_ms()))
        await _do("places", places.refresh)
        await _do("networks", networks.refresh)


async def judge(recorder: Recorder, counters: Counters) -> None:
    """The docket. What takes long waits in proportion, so that a heavy order leaves the core to everybody else."""
    while True:
        await asyncio.sleep(EVERY_S)
        started_s = time.monotonic()
        await _do("docket", partial(_work_off, recorder, counters))
        await asyncio.sleep((time.monotonic() - started_s) * JUDGING_PARTS)


async def tidy(installation: Installation, click_log: Database, counters: Counters, used: set[str]) -> None:
    """The last use of secrets, and the clicks of this process that converted."""
    while True:
        await asyncio.sleep(EVERY_S)
        now_ms = installation.clock.now_ms()
        await _do("used_secrets", partial(_mark_used, installation, used, now_ms))
        await _do("converted_clicks", partial(_mark_converted, installation, click_log, counters, now_ms))


async def forget(installation: Installation, click_logs: Callable[[], list[Database]], counters: Counters) -> None:
    """What may be forgotten, which may take minutes. Of all click logs: whose process is gone, has nobody else."""
    while True:
        await asyncio.sleep(EVERY_S)
        now_ms = installation.clock.now_ms()
        await _do("forget_records", partial(_forget_records, installation, now_ms))
        await _do("forget_clicks", partial(_forget_clicks, installation, click_logs, counters, now_ms))
        await asyncio.sleep(SELDOM_S)


async def erase(installation: Installation) -> None:
    """Erase again what a restored backup has brought back, and finish erasures that were interrupted."""
    eraser, clock = installation.eraser, installation.clock
    await _do("repeat_erasures", eraser.repeat)
    while True:
        await asyncio.sleep(ERASING_S)
        await _do("erasures", partial(eraser.finish_abandoned, clock.now_ms()))


async def prove(installation: Installation, counters: Counters) -> None:
    """Seal what was committed to the ledger, and publish the roots. Hashing takes its share of a core, so much at once
    is sealed slowly, and nobody's conversion waits for it."""
    settings, rest_s = installation.settings, EVERY_S
    while True:
        slept_s, worked_s = time.monotonic(), time.process_time()
        await asyncio.sleep(rest_s)
        started_s = time.monotonic()
        busy = time.process_time() - worked_s > BUSY_SHARE * (started_s - slept_s)
        more = await _do("seal", partial(_seal, installation, counters)) or False
        took_s = time.monotonic() - started_s
        if settings.ledger_roots is not None:
            await _do("publish_roots", partial(roots.publish, installation.records, settings.ledger_roots))
        rest_s = (SEALING_PARTS - 1 if busy else 1) * took_s if more else settings.ledger_seal_s


async def _do(name: str, chore: Callable[[], Result]) -> Result | None:
    try:
        return await asyncio.to_thread(chore)
    except Exception as error:
        log.error("chore_failed", chore=name, error=type(error).__name__)
        return None


def _seal(installation: Installation, counters: Counters) -> bool:
    done = sealing.seal(installation.records, installation.vault, installation.signet, installation.clock.now_ms())
    counters.ledger_rows_sealed += done.rows
    return done.more


def _work_off(recorder: Recorder, counters: Counters) -> None:
    for mode in MODES:
        counters.docket_worked_off += recorder.work_off(mode)


def _mark_used(installation: Installation, used: set[str], now_ms: int) -> None:
    if used:
        seen = set(used)
        used.difference_update(seen)
        installation.records.write(lambda tx: credentials.mark_used(tx, seen, now_ms))


def _mark_converted(installation: Installation, click_log: Database, counters: Counters, now_ms: int) -> None:
    counters.clicks_converted += retention.mark_converted(installation.records, click_log, now_ms)


def _forget_clicks(
    installation: Installation, click_logs: Callable[[], list[Database]], counters: Counters, now_ms: int
) -> None:
    for click_log in click_logs():
        counters.clicks_forgotten += retention.forget_clicks(installation.records, click_log, now_ms)


def _forget_records(installation: Installation, now_ms: int) -> None:
    installation.records.write(partial(_forget_old, now_ms=now_ms))


def _forget_old(tx: Tx, now_ms: int) -> None:
    changes.forget_old(tx, now_ms)
    slugs.forget_old(tx, now_ms)
    creation.forget_old(tx, now_ms)
    passes.forget_old(tx, now_ms)
    sessions.forget_old(tx, now_ms)
    for mode in MODES:
        ledger.forget_keys(tx, mode, now_ms)
