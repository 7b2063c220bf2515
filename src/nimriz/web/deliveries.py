"""The delivery log of this process: what became of deliveries, noted in memory and written once a second.

It stands in nobody's way: a note is a few values in a list, the database is one of its own, and what is too much is
counted and left out. A crash takes the last second along; the ledger has every event that was acknowledged.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import structlog

from nimriz.base import ids
from nimriz.base.clock import DAY_MS
from nimriz.base.errors import Refused, told_back
from nimriz.core.ledger import deliveries
from nimriz.core.ledger.deliveries import Delivery, Filters, Hour, Kind
from nimriz.core.ledger.intake import Answer, Recorded
from nimriz.store.db import Database, StoreError, Tx
from nimriz.web.metrics import Counters

FLUSH_EVERY_S = 1.0
FIELDS_MAX = 64
ROWS_MAX = 20
# What may wait for the next write, by kind. Strangers cannot take the room of others.
_WAITING_MAX: Mapping[Kind, int] = {"accepted": 100_000, "refused": 20_000, "unsigned": 2_000}
_HOURS_MAX = 10_000

log = structlog.get_logger()


class Bounds(NamedTuple):
    """Most deliveries of one workspace and hour, by kind, and for how many days accepted ones are kept (0: not)."""

    accepted_max: int
    refused_max: int
    unsigned_max: int
    accepted_days: int

    @property
    def most(self) -> Mapping[Kind, int]:
        """The bound of an hour by kind."""
        return {"accepted": self.accepted_max, "refused": self.refused_max, "unsigned": self.unsigned_max}


class DeliveryLog:
    """Takes notes from the event loop, and writes them in a thread."""

    def __init__(
        self,
        database: Database,
        known: Callable[[list[str]], set[str]],
        counters: Counters,
        now_ms: Callable[[], int],
        bounds: Bounds,
    ) -> None:
        """`known` says which of these workspaces exist; it may raise StoreError."""
        self._database = database
        self._known = known
        self._counters = counters
        self._now_ms = now_ms
        self._bounds = bounds
        self.keeps_accepted = bounds.accepted_days > 0
        self._waiting: dict[Kind, list[Delivery]] = {kind: [] for kind in deliveries.KINDS}
        self._left_out: dict[Hour, int] = {}
        self._writing = asyncio.Lock()

    def note(self, delivery: Delivery) -> None:
        """Take a note, or count that there was no room."""
        waiting = self._waiting[delivery.kind]
        if len(waiting) < _WAITING_MAX[delivery.kind]:
            waiting.append(delivery)
            return
        self._counters.deliveries_left_out += 1
        if delivery.hour in self._left_out or len(self._left_out) < _HOURS_MAX:
            self._left_out[delivery.hour] = self._left_out.get(delivery.hour, 0) + 1

    async def run(self) -> None:
        """Write again and again, and forget what is old."""
        while True:
            for _ in range(600):
                await asyncio.sleep(FLUSH_EVERY_S)
                await self.flush()
            await asyncio.to_thread(self._forget)

    async def flush(self) -> None:
        """Write what waits; when the disk refuses, it is lost and counted."""
        async with self._writing:
            notes = [delivery for waiting in self._waiting.values() for delivery in waiting]
            left_out, self._left_out = self._left_out, {}
            self._waiting = {kind: [] for kind in deliveries.KINDS}
            if notes or left_out:
                await asyncio.to_thread(self._write, notes, left_out)

    def _write(self, notes: list[Delivery], left_out: dict[Hour, int]) -> None:
        try:
            # Anybody can write an id into a path: only of workspaces that exist is anything kept.
            unsigned = {note.workspace_id for note in notes if note.kind == "unsigned"}
            unsigned |= {workspace_id for workspace_id, kind, _ in left_out if kind == "unsigned"}
            strangers = unsigned - (self._known(sorted(unsigned)) if unsigned else set())
            if strangers:
                notes = [note for note in notes if note.kind != "unsigned" or note.workspace_id not in strangers]
                left_out = {
                    hour: n for hour, n in left_out.items() if hour[1] != "unsigned" or hour[0] not in strangers
                }
            gone = self._database.write(
                partial(deliveries.keep, deliveries=notes, left_out=left_out, most=self._bounds.most)
            )
            self._counters.deliveries_left_out += gone
        except StoreError as error:
            self._counters.deliveries_left_out += len(notes)
            log.error("deliveries_lost", count=len(notes), error=str(error))

    def _forget(self) -> None:
        now_ms = self._now_ms()
        first = {kind: ids.first_reference(now_ms - deliveries.REFUSED_DAYS * DAY_MS) for kind in deliveries.KINDS}
        first["accepted"] = ids.first_reference(now_ms - self._bounds.accepted_days * DAY_MS)
        try:
            while self._database.write(partial(deliveries.forget_some, first_kept=first, now_ms=now_ms)):
                pass
        except StoreError as error:
            log.error("chore_failed", chore="forget_deliveries", error=type(error).__name__)

    async def find(self, workspace_id: str, support_reference: str) -> Delivery | None:
        """The delivery of a support reference, one of this very moment too. Raises StoreError."""
        await self.flush()
        return await asyncio.to_thread(
            self._database.read, lambda tx: deliveries.find(tx, workspace_id, support_reference)
        )

    async def page(
        self, workspace_id: str, filters: Filters, before: str, limit: int
    ) -> tuple[list[Delivery], dict[str, int]]:
        """A page of deliveries, and how many of the period were left out, by kind. Raises StoreError."""
        await self.flush()

        def read(tx: Tx) -> tuple[list[Delivery], dict[str, int]]:
            found = deliveries.page(tx, workspace_id, filters, before, limit)
            return found, deliveries.left_out(tx, workspace_id, filters.from_ms, filters.to_ms)

        return await asyncio.to_thread(self._database.read, read)


# --- what is kept of a body -------------------------------------------------------------------------------------


def refusal_details(refused: Refused, body: object) -> str:
    """Which fields were sent and which were refused: names and codes, no value."""
    details: dict[str, object] = {}
    if isinstance(body, dict):
        details["fields"] = _fields(body)
    if refused.errors:
        details["errors"] = [[error.field, error.code] for error in refused.errors[:FIELDS_MAX]]
    return json.dumps(details) if details else ""


def batch_details(answers: list[Answer]) -> str:
    """What became of the events of a batch: how many of each, and the first that were refused."""
    refused = [(number, answer) for number, answer in enumerate(answers) if isinstance(answer, Refused)]
    recorded = [answer for answer in answers if isinstance(answer, Recorded)]
    rows = [
        {"index": number, "code": answer.code, "errors": [[error.field, error.code] for error in answer.errors[:8]]}
        for number, answer in refused[:ROWS_MAX]
    ]
    repeated = sum(answer.duplicate for answer in recorded)
    counts = {"recorded": len(recorded) - repeated, "repeated": repeated, "refused": len(refused)}
    return json.dumps({"events": {**counts, "refused_rows": rows}})


def _fields(body: dict[str, object]) -> list[str]:
    """The paths of what was sent, as far as they can be names; metadata is the caller's own and stays closed."""
    paths = []
    for name, value in body.items():
        if name in ("user_data", "custom_data") and isinstance(value, dict):
            paths += [f"{name}.{told_back(inner)}" for inner in value]
        else:
            paths.append(told_back(name))
    return sorted(set(paths))[:FIELDS_MAX]
