"""What happens in the demo: the customer's links, the visitors who follow them, and what they bring.

Stage holds what has happened so far and every fact that is not what it must be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from nimriz.base.clock import to_rfc3339
from nimriz.demo.customer import Body, Customer, token_of
from nimriz.demo.figures import count, differences
from nimriz.demo.server import DemoStopped

DAYS_AGO = 40
LANDING = {
    "launch": "https://shop.example/launch?colour=blue#offer",
    "newsletter": "https://shop.example/autumn",
    "podcast": "https://shop.example/listeners?show=12&",
    "brochure": (
        "https://files.shop.example/brochure.pdf?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIDEXAMPLE%2F20261123%2Feu-central-1%2Fs3%2Faws4_request&X-Amz-Date=20261123T100000Z"
        "&X-Amz-Expires=604800&X-Amz-SignedHeaders=host&X-Amz-Signature=5d672d79c15b13162d9279b0855cfba6"
    ),
}
# What stands before and after the token in the Location. The presigned address gets none.
AROUND_TOKEN = {
    "launch": ("https://shop.example/launch?colour=blue&nim_ct=", "#offer"),
    "newsletter": ("https://shop.example/autumn?nim_ct=", ""),
    "podcast": ("https://shop.example/listeners?show=12&nim_ct=", ""),
    "brochure": (LANDING["brochure"], ""),
}
VISITS = {"launch": 142, "newsletter": 90, "podcast": 60, "brochure": 12}
LEADS = {"launch": 12, "newsletter": 5, "podcast": 4}
SALES = {
    "launch": ["129.90 USD", "49.00 USD", "49.00 USD", "249.00 USD", "19.90 USD"],
    "newsletter": ["200.00 EUR"],
    "podcast": ["79.00 USD"],
}
STEPS = sum(VISITS.values()) + sum(LEADS.values()) + sum(map(len, SALES.values()))
_AT_ONCE = 8

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class Stage:
    """What the scenes share. `step` moves the progress bar on."""

    customer: Customer
    step: Callable[[], None]
    links: dict[str, Body] = field(default_factory=dict)
    tokens: dict[str, list[str]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    compared: int = 0

    def check(self, where: str, expected: Mapping[str, Any], got: Mapping[str, Any]) -> None:
        """Compare facts; of `got`, those that are expected."""
        self.compared += count(expected)
        self.wrong += differences(expected, {name: got.get(name) for name in expected}, where)

    def post(self, event: Mapping[str, Any], expected_status: int = 201) -> Body:
        """Post an event, and have its status checked."""
        answer = self.customer.post(event)
        self.check(event["event_id"], {"HTTP status": expected_status}, {"HTTP status": answer.status})
        return answer.body


def long_ago(stage: Stage) -> None:
    """The customer makes its links; the podcast is heard, and sells."""
    for slug, long_url in LANDING.items():
        stage.links[slug] = stage.customer.shorten(slug, long_url)
    _visit(stage, "podcast")
    _convert(stage, "podcast")


def today(stage: Stage) -> None:
    """The other links are followed, and earn their leads and sales."""
    for slug in ("launch", "newsletter", "brochure"):
        _visit(stage, slug)
    for slug in ("launch", "newsletter"):
        _convert(stage, slug)


def _visit(stage: Stage, slug: str) -> None:
    short_urls = [stage.links[slug]["short_url"]] * VISITS[slug]
    locations = _at_once(stage, stage.customer.visit, short_urls)
    tokens = [token_of(location) for location in locations]
    stage.tokens[slug] = list(filter(None, tokens))
    before, after = AROUND_TOKEN[slug]
    intact = sum(location == before + token + after for location, token in zip(locations, tokens, strict=True))
    distinct = len(set(stage.tokens[slug]))
    stage.check(
        slug,
        {"destinations kept byte for byte": VISITS[slug], "tokens": 0 if slug == "brochure" else VISITS[slug]},
        {"destinations kept byte for byte": intact, "tokens": distinct},
    )
    if slug in LEADS and distinct != VISITS[slug]:
        raise DemoStopped(f"{VISITS[slug]} visitors of {slug} brought {distinct} tokens, e.g. to {locations[0]}")


def _convert(stage: Stage, slug: str) -> None:
    """The first visitors become leads, known by a customer id from then on; the next ones buy."""
    tokens = iter(stage.tokens[slug])
    events = [lead(f"{slug}-lead-{n}", next(tokens), f"{slug}-customer-{n}") for n in range(1, LEADS[slug] + 1)]
    for n, amount in enumerate(SALES[slug], 1):
        events.append(sale(f"{slug}-sale-{n}", amount, f"{slug}-order-{n}", click_id=next(tokens)))
    answers = _at_once(stage, stage.customer.post, events)
    created = sum(answer.status == 201 for answer in answers)
    stage.check(slug, {"events answered 201": len(events)}, {"events answered 201": created})


def _at_once(stage: Stage, call: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Make calls from several threads, as visitors come; what they returned, in order."""

    def make(item: Item) -> Result:
        result = call(item)
        stage.step()
        return result

    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        return list(pool.map(make, items))
    finally:
        pool.shutdown(cancel_futures=True)


def lead(event_id: str, click_id: str, external_id: str) -> Body:
    """Somebody who came by a click and is known by an id from now on."""
    user_data = {"click_id": click_id, "external_id": external_id}
    return {"event_name": "lead", "event_id": event_id, "user_data": user_data}


def sale(event_id: str, amount: str, order_id: str, event_time_ms: int | None = None, **user_data: str) -> Body:
    """Money earned: `amount` is like "129.90 USD"."""
    value, currency = amount.split()
    return {
        "event_name": "sale",
        "event_id": event_id,
        "event_time": None if event_time_ms is None else to_rfc3339(event_time_ms),
        "user_data": user_data,
        "custom_data": {"value": value, "currency": currency, "order_id": order_id},
    }


def refund(event_id: str, amount: str, order_id: str) -> Body:
    """Money given back for an order."""
    value, currency = amount.split()
    custom_data = {"value": value, "currency": currency, "related_order_id": order_id}
    return {"event_name": "refund", "event_id": event_id, "custom_data": custom_data}
