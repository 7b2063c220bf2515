"""The results of an experiment in the document: their schemas, and an example that adds up."""

from __future__ import annotations

from typing import Any, get_args

from nimriz.core.results.findings import LEVEL, MISMATCH_LEVEL, Code
from nimriz.core.results.results import EVENTS
from nimriz.web.api.document_examples import LINK_ID, Example
from nimriz.web.api.document_rules import EXPERIMENT_ID
from nimriz.web.api.document_schemas import (
    AMOUNT,
    COUNT,
    CURRENCY,
    FLAG,
    ID,
    INSTANT,
    TEXT,
    WHOLE,
    Schema,
    closed,
    many,
    maybe,
    one_of,
    ref,
)
from nimriz.web.api.result_words import METHODS

_PART: Schema = {"type": "number"}
_ENDS = ("estimate", "low", "high")
_SUMS = ("gross", "taken_back", "net")
_CODES = (*get_args(Code), "clicks_not_shown")

SCHEMAS: dict[str, Schema] = {
    "Between": {
        **closed(dict.fromkeys(_ENDS, maybe(_PART))),
        "description": "What was seen, and between what the truth lies; null where nothing can be said.",
    },
    "MoneyBetween": {
        **closed(dict.fromkeys(_ENDS, maybe(AMOUNT))),
        "description": "Money by visitor: what was seen, and between what the truth lies.",
    },
    "ExperimentResults": closed({
        "experiment_id": ID, "link_id": ID, "name": TEXT, "state": one_of("draft", "running", "paused", "stopped"),
        "mode": one_of("live", "test"), "from": TEXT, "to": TEXT, "timezone": TEXT,
        "unit": one_of("visitor", "click"),
        "weights": many(closed({"from": INSTANT, "weights": {"type": "object", "additionalProperties": COUNT}})),
        "sample_ratio": closed({
            "code": one_of(*_CODES), "sentence": TEXT, "p_value": maybe(_PART), "level": _PART, "method": TEXT,
        }),
        "findings": many(closed({
            "figure": one_of("leads", "sales", "revenue"), "currency": maybe(CURRENCY), "code": one_of(*_CODES),
            "sentence": TEXT, "variants": many(TEXT),
            "comparisons": many(closed({
                "variant": TEXT, "against": TEXT, "enough": FLAG, "ahead": maybe(TEXT),
                "lift": {"anyOf": [ref("Between"), {"type": "null"}]},
                "difference": {"anyOf": [ref("MoneyBetween"), {"type": "null"}]},
            })),
            "level": _PART, "method": TEXT,
        })),
        "variants": many(closed({
            "key": TEXT, "variant": TEXT, "name": TEXT, "weight": COUNT, "clicks": maybe(COUNT),
            "tracked_clicks": maybe(COUNT), "visitors": maybe(COUNT), **dict.fromkeys(EVENTS.values(), COUNT),
            "visitors_with_lead": COUNT, "visitors_with_sale": COUNT,
            "lead_rate": maybe(ref("Between")), "sale_rate": maybe(ref("Between")),
            "revenue": many(closed({
                "currency": CURRENCY, **dict.fromkeys(_SUMS, AMOUNT),
                **{f"{name}_minor": WHOLE for name in _SUMS}, "net_per_visitor": maybe(ref("MoneyBetween")),
            })),
        })),
        "fresh_as_of": INSTANT,
    }),
}  # fmt: skip


def _between(estimate: float | str, low: float | str, high: float | str) -> Example:
    return dict(zip(_ENDS, (estimate, low, high), strict=True))


def _variant(key: str, clicks: int, visitors: int, leads: int, sales: int, **between: Any) -> Example:
    """Everybody clicked once or twice and paid 50 dollars."""
    net = sales * 50
    return {
        "key": key, "variant": f"{LINK_ID}/{key}", "name": key.title(), "weight": 50, "clicks": clicks,
        "tracked_clicks": clicks, "visitors": visitors, **dict.fromkeys(EVENTS.values(), 0), "leads": leads,
        "sales": sales, "visitors_with_lead": leads, "visitors_with_sale": sales,
        "lead_rate": between["lead"], "sale_rate": between["sale"],
        "revenue": [{
            "currency": "USD", "gross": f"{net}.00", "taken_back": "0.00", "net": f"{net}.00",
            "gross_minor": net * 100, "taken_back_minor": 0, "net_minor": net * 100, "net_per_visitor": between["net"],
        }],
    }  # fmt: skip


def _finding(figure: str, code: str, sentence: str, lift: Example | None, difference: Example | None) -> Example:
    ahead = "video" if code == "variant_ahead" else None
    return {
        "figure": figure, "currency": "USD" if figure == "revenue" else None, "code": code, "sentence": sentence,
        "variants": [ahead] if ahead else [],
        "comparisons": [{"variant": "video", "against": "photo", "enough": True, "ahead": ahead,
                         "lift": lift, "difference": difference}],
        "level": LEVEL, "method": METHODS["revenue" if figure == "revenue" else "rate"],
    }  # fmt: skip


RESULTS: Example = {
    "experiment_id": EXPERIMENT_ID, "link_id": LINK_ID, "name": "Photo or video", "state": "running", "mode": "live",
    "from": "2026-11-02T09:00:00.000Z", "to": "2026-11-30T12:00:00.000Z", "timezone": "UTC", "unit": "visitor",
    "weights": [{"from": "2026-11-02T09:00:00.000Z", "weights": {"photo": 50, "video": 50}}],
    "sample_ratio": {
        "code": "as_planned", "sentence": "Visitors are divided as the weights say.", "p_value": 1.0,
        "level": MISMATCH_LEVEL, "method": METHODS["sample_ratio"],
    },
    "findings": [
        _finding(
            "leads", "no_difference_yet",
            "No difference in visitors who became a lead that is more than chance, so far.",
            _between(0.0663, -0.1308, 0.3087), None,
        ),
        _finding(
            "sales", "variant_ahead", "Video is ahead of all others in visitors who bought.",
            _between(0.42, 0.0059, 1.0186), None,
        ),
        _finding(
            "revenue", "variant_ahead", "Video is ahead of all others in net revenue by visitor in USD.",
            None, _between("0.6401", "0.0715", "1.2087"),
        ),
    ],
    "variants": [
        _variant("photo", 5_230, 5_005, 377, 150, lead=_between(0.0753, 0.0612, 0.0913),
                 sale=_between(0.03, 0.0212, 0.0408), net=_between("1.4985", "1.1480", "1.9560")),
        _variant("video", 5_210, 4_980, 402, 213, lead=_between(0.0807, 0.066, 0.0972),
                 sale=_between(0.0428, 0.0322, 0.0554), net=_between("2.1386", "1.7126", "2.6705")),
    ],
    "fresh_as_of": "2026-11-30T12:00:00.000Z",
}  # fmt: skip
