"""A generated workspace: clicks of all kinds and what came of them, the same whenever it is made.

Its clicks lie around the end of summer time in Europe, some of its events a little before their click, and amounts go
up to the largest.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from nimriz.base import ids
from nimriz.core.clicks import clicks
from nimriz.core.clicks.agents import Agent
from nimriz.core.clicks.clicks import Facts
from nimriz.core.clicks.contexts import Contexts
from nimriz.core.clicks.places import Place
from nimriz.core.clicks.quality import QUALITIES, Judged
from nimriz.store.db import Tx
from nimriz.store.sqlite import Sqlite
from tests import clicklogs
from tests.columnar import Columnar, projected
from tests.laws.facts import Click, Event
from tests.laws.histories import BAD_TOKENS, BASE_MS, DAY_MS
from tests.laws.ledger import DECISIONS, LINKS, OTHER_LINK, WORKSPACE, click_uuid, opened

CLICKS, EVENTS = 400, 160
FIRST_MS = BASE_MS - 40 * DAY_MS
TEXTS = ("", "One", "one", "\u00e9'\\\U0001f600")
_MINORS = (0, 1, 5, 99, 100, 1_234, 99_999, 10**17 - 1)
_TAGS = ((), ("spring",), ("spring", "sale"), ("sale", "mail"))


class Generated(NamedTuple):
    """The columnar copy, and moments at which something had arrived, the oldest first."""

    columnar: Columnar
    moments: list[int]


@contextmanager
def generated(folder: Path, seed: int) -> Iterator[Generated]:
    """A workspace made with this seed."""
    dice = random.Random(seed)
    made = _clicks(dice)
    events = _events(dice, made)
    log = clicklogs.opened(folder / "clicks-0.db")
    _write(dice, log, made)
    moments = []
    with opened() as ledger:
        for third in range(3):
            ledger.record_all([[event] for event in events[third::3]])
            moments.append(ledger.arrival_ms)
        ledger.decide(True)
        moments.append(ledger.arrival_ms)
        _decide(ledger.database)
        _judge(dice, log, moments)
        with projected(ledger.database, {0: log}, lambda: moments[-1]) as columnar:
            yield Generated(columnar, moments)
    log.close()


def _clicks(dice: random.Random) -> list[Click]:
    """Clicks of both links, several of them in one millisecond."""
    at = sorted(dice.choice((FIRST_MS, BASE_MS - DAY_MS)) + dice.randrange(20 * DAY_MS) for _ in range(CLICKS))
    return [
        Click(str(n), dice.choice(tuple(LINKS)), dice.choice(tuple(DECISIONS)), at[n - n % 2], dice.choice((1, 7, 30)))
        for n in range(CLICKS)
    ]


def _events(dice: random.Random, made: list[Click]) -> list[Event]:
    events: list[Event] = []
    for n in range(EVENTS):
        name = dice.choice(("lead", "sale", "sale", "sale", "refund", "cancellation", "reversal"))
        click = dice.choice(made)
        at_ms = click.time_ms + dice.choice((-1_000, 0, 1, dice.randrange(DAY_MS), dice.randrange(30 * DAY_MS)))
        currency = dice.choice(("USD", "USD", "EUR", "JPY", None))
        event = Event(
            f"event-{n}", name, at_ms, dice.choice((click, click, click, None, dice.choice(BAD_TOKENS))),
            dice.choice((None, "ann", "bob", "cy", "dee")), dice.choice(_MINORS) if currency else None, currency,
            dice.choice((None, *(f"order-{k}" for k in range(12)))), excluded=dice.random() < 0.2,
        )  # fmt: skip
        events.append(_following(dice, event, events))
    return events


def _following(dice: random.Random, event: Event, before: list[Event]) -> Event:
    """An event with what it refers to: a follow-on to a sale or an order, and now and then a sale to a reversal."""
    sales = [other for other in before if other.name == "sale"] or [event]
    sale = dice.choice(sales)
    if event.name in ("lead", "sale"):
        lost = [other.event_id for other in before if other.name == "reversal"]
        again = dice.choice(lost) if lost and event.name == "sale" and dice.random() < 0.2 else None
        return replace(event, related_event_id=again)
    by_order = sale.order_id is not None and dice.random() < 0.4
    return replace(
        event, click=None, external_id=None, order_id=None, time_ms=sale.time_ms + dice.randrange(10 * DAY_MS),
        related_order_id=sale.order_id if by_order else None, related_event_id=None if by_order else sale.event_id,
    )  # fmt: skip


def _write(dice: random.Random, log: Sqlite, made: list[Click]) -> None:
    """Write the clicks. Those of the second link have no visitor now and then, so that nobody can tell them apart."""
    contexts = Contexts()
    log.read(contexts.recall)
    rows = []
    for seq, click in enumerate(made, 1):
        tags = json.dumps(dice.choice(_TAGS), separators=(",", ":"))
        facts = Facts(
            WORKSPACE, LINKS[click.link_id], dice.choice((OTHER_LINK, LINKS["link-a"])), DECISIONS[click.variant],
            dice.choice((1, 1, 1, 0)), dice.choice(("", "", "signed_aws", "fragment")), 0,
            dice.choice(("shop.example", "cdn.example")), dice.choice(("short_link_click", "qr_scan")),
            *_texts(dice), tags,
        )  # fmt: skip
        place = Place(*dice.choice((("DE", "DE-BE", "Berlin"), ("US", "US-CA", "Oakland"), ("", "", ""))))
        agent = Agent("browser", dice.choice(("mobile", "desktop")), dice.choice(("iOS", "Linux")), "Firefox")
        judged = Judged(dice.choice((*QUALITIES, "human", "human")), "")
        alike = (facts, place, dice.choice(("de", "en", "")), "", "", judged, dice.choice((agent, None)))
        context_id, workspace_no = contexts.begin(click.time_ms).get(alike) or contexts.add(alike)
        hashless = click.link_id == "link-b" and dice.random() < 0.1
        visitor = None if hashless else (dice.randrange(120) * 2**56 + 1).to_bytes(8, "big")
        rows.append((seq, click_uuid(click), workspace_no, click.time_ms, visitor, context_id))

    def written(tx: Tx) -> None:
        contexts.append(tx)
        clicks.append(tx, rows)

    log.write(written)


def _texts(dice: random.Random) -> tuple[str, str, str, str, str, str, str]:
    """Placement, referrer and campaign."""
    one, two, three, four, five, six, seven = (dice.choice(TEXTS) for _ in range(7))
    return one, two, three, four, five, six, seven


def _judge(dice: random.Random, log: Sqlite, moments: list[int]) -> None:
    """Judge some clicks again, some of them twice."""
    sql = (
        "insert into click_judgments (click_seq, link_id, judged_at_ms, quality, reason) "
        "select seq, link_id, :at_ms, :quality, '' from clicks where seq = :seq"
    )
    for at_ms in moments[:2]:
        for seq in dice.sample(range(1, CLICKS + 1), CLICKS // 8):
            values = {"seq": seq, "at_ms": at_ms, "quality": dice.choice(QUALITIES)}
            log.write(partial(_run, sql=sql, values=values))


def _decide(records: Sqlite) -> None:
    """Say what the first decision of a link meant; what the others did, nobody knows any more."""
    sql = (
        "insert into decisions (workspace_id, link_id, decision, kind, rule_id, variant, created_at_ms) "
        "values (:workspace_id, :link_id, 1, 'variant', :rule_id, 'red', 0)"
    )
    for link_id in LINKS.values():
        values = {"workspace_id": WORKSPACE, "link_id": link_id, "rule_id": ids.new_id(BASE_MS)}
        records.write(partial(_run, sql=sql, values=values))


def _run(tx: Tx, sql: str, values: dict[str, Any]) -> None:
    tx.run(sql, values)
