"""Reconciliation, changes, funnel and cohorts in the document: their schemas, and examples that add up."""

from __future__ import annotations

from nimriz.web.api.document_examples import CLICK_ID, EVENT_ID, LINK_ID, Example
from nimriz.web.api.document_schemas import (
    AMOUNT,
    COUNT,
    CURRENCY,
    ID,
    INSTANT,
    TEXT,
    WHOLE,
    Schema,
    closed,
    many,
    maybe,
    one_of,
)

_MODE = one_of("live", "test")
_HEAD: Schema = {"from": TEXT, "to": TEXT, "timezone": TEXT, "as_of": maybe(INSTANT), "mode": _MODE}
_SHARE: Schema = {"type": ["number", "null"], "minimum": 0}
_SECONDS = closed({"median": maybe({"type": "number"}), "mean": maybe({"type": "number"})})


def _money(*names: str) -> Schema:
    return {**dict.fromkeys(names, AMOUNT), **{f"{name}_minor": WHOLE for name in names}}


_BALANCE = ("opening", "new", "taken_back", "closing")
_LINE = closed({
    "counted_as": maybe(TEXT), "sale_event_id": maybe(TEXT), "status": TEXT, "reason": maybe(TEXT),
    "link_id": maybe(ID), "variant": maybe(TEXT), "click_id": maybe(ID), "clicked_at": maybe(INSTANT),
    "money": maybe(closed({"currency": CURRENCY, **_money("gross", "taken_back", "net")})),
})  # fmt: skip

SCHEMAS: dict[str, Schema] = {
    "Reconciliation": closed({
        **_HEAD,
        "currencies": many(closed({
            "currency": CURRENCY, **_money(*_BALANCE),
            "days": many(closed({"day": TEXT, **_money(*_BALANCE)})),
            "click_days": many(closed({"click_day": TEXT, **_money(*_BALANCE, "later")})),
        })),
        "fresh_as_of": INSTANT,
    }),
    "Changes": closed({
        "since": INSTANT, "until": INSTANT, "mode": _MODE,
        "changes": many(closed({
            "event_id": TEXT, "event_name": TEXT, "event_time": INSTANT, "removed": many(_LINE), "added": many(_LINE),
        })),
        "fresh_as_of": INSTANT, "next_cursor": maybe(TEXT),
    }),
    "Funnel": closed({
        **_HEAD,
        "steps": many(closed({"step": one_of("click", "lead", "sale"), "clicks": maybe(COUNT), "share": _SHARE})),
        "leads_and_sales": COUNT,
        "revenue": many(closed({"currency": CURRENCY, **_money("gross", "taken_back", "net")})),
        "seconds": closed(dict.fromkeys(("to_lead", "to_sale", "lead_to_sale"), _SECONDS)),
        "fresh_as_of": INSTANT,
    }),
    "Cohorts": closed({
        **_HEAD, "by": one_of("day", "week", "month"),
        "rows": many(closed({
            "key": TEXT, "tracked_clicks": maybe(COUNT), "converted": COUNT, "by_days": many(COUNT),
        })),
        "fresh_as_of": INSTANT,
    }),
}  # fmt: skip

_ASKED: Example = {"from": "2026-11-01", "to": "2026-11-02", "timezone": "UTC", "as_of": None, "mode": "live"}
_FRESH = {"fresh_as_of": "2026-11-30T12:00:00.000Z"}


def _usd(**minor: int) -> Example:
    told: Example = {name: f"{value // 100}.{value % 100:02d}" for name, value in minor.items()}
    return told | {f"{name}_minor": value for name, value in minor.items()}


RECONCILIATION: Example = {
    **_ASKED,
    "currencies": [{
        "currency": "USD", **_usd(opening=5_000, new=12_990, taken_back=2_990, closing=15_000),
        "days": [
            {"day": "2026-11-01", **_usd(opening=5_000, new=12_990, taken_back=0, closing=17_990)},
            {"day": "2026-11-02", **_usd(opening=17_990, new=0, taken_back=2_990, closing=15_000)},
        ],
        "click_days": [
            {"click_day": "2026-10-30", **_usd(opening=5_000, new=0, taken_back=0, closing=5_000, later=0)},
            {"click_day": "2026-11-01", **_usd(opening=0, new=12_990, taken_back=2_990, closing=10_000, later=0)},
        ],
    }],
    **_FRESH,
}  # fmt: skip
CHANGES: Example = {
    "since": "2026-11-01T00:00:00.000Z", "until": "2026-11-02T00:00:00.000Z", "mode": "live",
    "changes": [{
        "event_id": EVENT_ID, "event_name": "sale", "event_time": "2026-11-01T10:00:00.000Z", "removed": [],
        "added": [{
            "counted_as": "sale", "sale_event_id": None, "status": "attributed", "reason": None, "link_id": LINK_ID,
            "variant": None, "click_id": CLICK_ID, "clicked_at": "2026-11-01T09:00:00.000Z",
            "money": {"currency": "USD", **_usd(gross=12_990, taken_back=0, net=12_990)},
        }],
    }],
    **_FRESH, "next_cursor": None,
}  # fmt: skip
FUNNEL: Example = {
    **_ASKED,
    "steps": [
        {"step": "click", "clicks": 142, "share": 1.0}, {"step": "lead", "clicks": 18, "share": 0.1268},
        {"step": "sale", "clicks": 6, "share": 0.0423},
    ],
    "leads_and_sales": 5, "revenue": [{"currency": "USD", **_usd(gross=62_670, taken_back=2_990, net=59_680)}],
    "seconds": {
        "to_lead": {"median": 92.5, "mean": 340.0}, "to_sale": {"median": 86_400.0, "mean": 90_120.5},
        "lead_to_sale": {"median": 86_000.0, "mean": 88_000.0},
    },
    **_FRESH,
}  # fmt: skip
COHORTS: Example = {
    **_ASKED, "by": "week",
    "rows": [{"key": "2026-W44", "tracked_clicks": 142, "converted": 18, "by_days": [12, 4, 2] + [0] * 28}],
    **_FRESH,
}  # fmt: skip
