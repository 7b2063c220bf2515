"""Dimensions: what a question may break clicks and conversions down by, or be narrowed to. Nothing else gets into SQL.

Each names columns of ours; a caller's values are always bound.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from nimriz.analytics.credit import Model
from nimriz.analytics.zones import UNITS, Unit, label
from nimriz.core.directory.mode import Mode

OF_CONTEXT = (
    "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "referrer_host", "country", "region", "city",
    "device", "os", "browser", "language", "placement", "touch_type", "destination_host", "token_suppressed",
)  # fmt: skip
"""Dimensions that are a column of the click."""
BYS = ("link", "variant", "rule", "event_name", "domain", "tag", *OF_CONTEXT, *UNITS)
CLICK_BYS = (*(by for by in BYS if by != "event_name"), "quality")
FILTER_NAMES = frozenset(("link_id", "variant", "rule", "event_name", "domain_id", "tag", *OF_CONTEXT))
"""What they are called where somebody asks."""
FILTER_VALUES_MAX = 50
UNITS_MAX = 5_000
"""So many hours, days, weeks or months may be told one after the other."""
EVENT_NAMES = ("lead", "sale", "refund", "cancellation", "reversal")


NO_FILTERS: Mapping[str, list[str]] = {}


class Question(NamedTuple):
    """What is asked: events in [from_ms, to_ms), grouped by up to two dimensions; no filter asks for all.

    `shown_from_ms` bounds clicks as the plan does; `as_of_ms` 0 asks for what stands now; `offset` and `limit` cut the
    page out of the ranked rows. Nothing is later than `now_ms`, but for a few minutes. `compared_…` is another period,
    0 for none. `series` asks for every hour, day, week or month of the period, in order. `model` says who
    earns.
    """

    workspace_id: str
    mode: Mode
    from_ms: int
    to_ms: int
    timezone: str
    now_ms: int
    by: tuple[str, ...]
    clock: str = "event"
    filters: Mapping[str, list[str]] = NO_FILTERS
    left_out: tuple[str, ...] = ("bot",)
    as_of_ms: int = 0
    shown_from_ms: int = 0
    compared_from_ms: int = 0
    compared_to_ms: int = 0
    series: bool = False
    offset: int = 0
    limit: int = 1_000
    model: Model = "last"

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of its days."""
        return ZoneInfo(self.timezone)


class Dimension(NamedTuple):
    """Columns to group by, and how their values are told as a key."""

    columns: tuple[str, ...]
    key: Callable[[Sequence[Any]], str]


def _text(values: Sequence[Any]) -> str:
    return str(values[0])


def _of_link(values: Sequence[Any]) -> str:
    link_id, variant = values
    return f"{link_id}/{variant}" if variant else str(link_id)


_DIMENSIONS: dict[str, Dimension] = {
    "link": Dimension(("link_id",), _text),
    "variant": Dimension(("link_id", "variant"), _of_link),
    "rule": Dimension(("link_id", "rule_id"), _of_link),
    "quality": Dimension(("quality",), _text),
    "event_name": Dimension(("event_name",), _text),
    "domain": Dimension(("domain_id",), _text),
    "tag": Dimension(("tag",), _text),
    **{name: Dimension((name,), _text) for name in OF_CONTEXT},
}


def dimension(name: str, zone: ZoneInfo) -> Dimension:
    """The dimension of this name. Raises KeyError for one that is none."""
    return Dimension((name,), partial(_unit, unit=name, zone=zone)) if name in UNITS else _DIMENSIONS[name]


def _unit(values: Sequence[Any], unit: Unit, zone: ZoneInfo) -> str:
    return label(int(values[0]), unit, zone)
