"""Conversions as rows: each event as it stands, what its click was when it was made, and what money has moved."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from nimriz.analytics.tabular import Column
from nimriz.base.money import to_decimal
from nimriz.core.clicks import click_list
from nimriz.core.clicks.click_list import Listed
from nimriz.core.directory.mode import Mode
from nimriz.core.directory.vault import Vault
from nimriz.core.ledger import conversions, settlement
from nimriz.core.ledger.conversions import Conversion, Since
from nimriz.store.db import Database, Tx

PAGE_ROWS = 500
_OF_CLICK = (
    "touch_type", "placement", "destination_host", "referrer_host", "utm_source", "utm_medium", "utm_campaign",
    "utm_term", "utm_content", "country", "region", "city", "language", "device", "os", "browser",
)  # fmt: skip
_PERSONAL: tuple[Column, ...] = (Column("external_id", "text"), Column("metadata", "json"))
_COLUMNS: tuple[Column, ...] = (
    Column("event_id", "text"),
    Column("event_name", "id"),
    Column("mode", "id"),
    Column("event_time", "instant"),
    Column("received_at", "instant"),
    Column("value", "amount"),
    Column("value_minor", "minor"),
    Column("currency", "id"),
    Column("order_id", "text"),
    Column("quantity", "count"),
    Column("related_event_id", "text"),
    Column("related_order_id", "text"),
    Column("status", "id"),
    Column("method", "id"),
    Column("reason", "id"),
    Column("link_id", "id"),
    Column("variant", "id"),
    Column("click_id", "id"),
    Column("clicked_at", "instant"),
    Column("window_days", "count"),
    Column("settlement_status", "id"),
    Column("applied", "amount"),
    Column("applied_minor", "minor"),
    Column("excess", "amount"),
    Column("excess_minor", "minor"),
    Column("taken_back", "amount"),
    Column("taken_back_minor", "minor"),
    Column("net", "amount"),
    Column("net_minor", "minor"),
    *(Column(f"click_{name}", "text") for name in _OF_CLICK),
    Column("click_tags", "json"),
    Column("click_quality", "id"),
)


def columns(*, personal: bool) -> tuple[Column, ...]:
    """The columns of conversions, with or without what can name a person."""
    return (*_COLUMNS, *_PERSONAL) if personal else _COLUMNS


def rows(
    records: Database,
    logs: Sequence[Database],
    vault: Vault | None,
    workspace_id: str,
    mode: Mode,
    since: Since,
) -> Iterator[tuple[list[dict[str, Any]], int | None]]:
    """Every event that came or changed after the cursors, a page at a time, and behind what the next one begins.

    None when there is no next one. Raises StoreError.
    """
    behind_seq = since.behind_seq
    while True:
        read = partial(
            _page, mode=mode, vault=vault, workspace_id=workspace_id, since=since._replace(behind_seq=behind_seq)
        )
        page, behind_seq = records.read(read)
        click_ids = [conversion.verdict.click_id for conversion, _ in page if conversion.verdict.click_id]
        clicks = click_list.find_many(logs, workspace_id, click_ids) if click_ids else {}
        told = [_row(conversion, taken, clicks.get(conversion.verdict.click_id)) for conversion, taken in page]
        yield told, behind_seq or None
        if not behind_seq:
            return


def _page(
    tx: Tx, mode: Mode, vault: Vault | None, workspace_id: str, since: Since
) -> tuple[list[tuple[Conversion, int | None]], int]:
    found, behind_seq = conversions.since(tx, mode, vault, workspace_id, since, PAGE_ROWS)
    return [(conversion, _taken_back(tx, conversion)) for conversion in found], behind_seq


def _taken_back(tx: Tx, conversion: Conversion) -> int | None:
    outcome = conversion.outcome
    if outcome.event_name != "sale" or not outcome.currency:
        return None
    return sum(settlement.moved_from(tx, conversion.mode, outcome.workspace_id, outcome.event_id).values())


def _row(conversion: Conversion, taken_minor: int | None, click: Listed | None) -> dict[str, Any]:
    outcome, verdict, settled = conversion.outcome, conversion.verdict, conversion.settlement
    metadata = conversion.readable.metadata
    return {
        "event_id": outcome.event_id,
        "event_name": outcome.event_name,
        "mode": conversion.mode,
        "event_time": outcome.event_time_ms,
        "received_at": outcome.received_at_ms,
        **_money("value", outcome.value_minor, outcome.currency),
        "currency": outcome.currency or None,
        "order_id": outcome.order_id,
        "quantity": outcome.quantity,
        "related_event_id": outcome.related_event_id,
        "related_order_id": outcome.related_order_id,
        "status": verdict.status,
        "method": verdict.method or None,
        "reason": verdict.reason or None,
        "link_id": verdict.link_id or None,
        "variant": conversion.variant or None,
        "click_id": verdict.click_id or None,
        "clicked_at": verdict.clicked_at_ms,
        "window_days": verdict.window_days,
        "settlement_status": settled and settled.status,
        **_money("applied", settled and settled.applied_minor, settled.currency if settled else ""),
        **_money("excess", settled and settled.excess_minor, settled.currency if settled else ""),
        **_money("taken_back", taken_minor, outcome.currency),
        **_money("net", None if taken_minor is None else (outcome.value_minor or 0) - taken_minor, outcome.currency),
        **{f"click_{name}": getattr(click, name) if click else "" for name in _OF_CLICK},
        "click_tags": click.tags if click and click.tags != json.dumps([]) else "",
        "click_quality": click.quality if click else None,
        "external_id": conversion.readable.external_id,
        "metadata": None if metadata is None else metadata.decode(),
    }


def _money(name: str, minor: int | None, currency: str) -> dict[str, Any]:
    decimal = None if minor is None else to_decimal(minor, currency or None)
    return {name: decimal, f"{name}_minor": minor}
