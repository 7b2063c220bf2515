"""What every report is asked with: period, dimensions, filters, audience; read into a Question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from nimriz.analytics.credit import Model
from nimriz.analytics.dimensions import FILTER_VALUES_MAX, OF_CONTEXT, UNITS_MAX, Question
from nimriz.analytics.zones import UNITS
from nimriz.base.clock import DAY_MS, from_rfc3339
from nimriz.base.errors import FieldError, Refused
from nimriz.core.clicks import retention
from nimriz.core.clicks.clicks import LABEL_BYTES_MAX, LEFT_OUT
from nimriz.core.directory import entitlements, workspaces
from nimriz.core.directory.mode import Mode
from nimriz.store.db import Tx
from nimriz.web.api.audience import audience_of
from nimriz.web.api.desk import Desk
from nimriz.web.api.period import Period, read_period

SURFACE = "conversion_reporting"
_UNIT_MS = {"hour": DAY_MS // 24, "day": DAY_MS, "week": 7 * DAY_MS, "month": 28 * DAY_MS}
_NAMES = {"link": "link_id", "domain": "domain_id"}

Values = Annotated[
    list[Annotated[str, StringConstraints(max_length=LABEL_BYTES_MAX)]], Field(max_length=FILTER_VALUES_MAX)
]


class FilterQuery(BaseModel):
    """What narrows every report down; each may be sent several times, and then any of its values is meant."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    from_: str = Field(default="", alias="from")
    to: str = ""
    timezone: str = "UTC"
    as_of: str = ""
    include_bots: bool = False
    include_suspects: bool = True
    link_id: Values = Field(default_factory=list)
    variant: Values = Field(default_factory=list)
    rule: Values = Field(default_factory=list)
    domain_id: Values = Field(default_factory=list)
    tag: Values = Field(default_factory=list)
    utm_source: Values = Field(default_factory=list)
    utm_medium: Values = Field(default_factory=list)
    utm_campaign: Values = Field(default_factory=list)
    utm_term: Values = Field(default_factory=list)
    utm_content: Values = Field(default_factory=list)
    referrer_host: Values = Field(default_factory=list)
    country: Values = Field(default_factory=list)
    region: Values = Field(default_factory=list)
    city: Values = Field(default_factory=list)
    device: Values = Field(default_factory=list)
    os: Values = Field(default_factory=list)
    browser: Values = Field(default_factory=list)
    language: Values = Field(default_factory=list)
    placement: Values = Field(default_factory=list)
    touch_type: Values = Field(default_factory=list)
    destination_host: Values = Field(default_factory=list)
    token_suppressed: Values = Field(default_factory=list)


class PageQuery(FilterQuery):
    """What a report with rows is asked with beyond its filters."""

    compare: Literal["", "previous", "year"] = ""
    series: bool = False
    limit: Annotated[int, Field(ge=1, le=1_000)] = 1_000
    cursor: str = Field(default="", pattern="^[0-9]{0,9}$")


EventNames = list[Annotated[str, StringConstraints(pattern="^(|lead|sale|refund|cancellation|reversal)$")]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and what its answer is told with."""

    question: Question
    period: Period
    compared: Period | None
    as_of_ms: int

    @property
    def hidden(self) -> bool:
        """Whether the period reaches beyond what the plan shows of clicks."""
        return self.question.from_ms < self.question.shown_from_ms


async def read(
    desk: Desk,
    workspace_id: str,
    query: FilterQuery,
    by: Sequence[str],
    *,
    mode: Mode = "live",
    clock: str = "event",
    model: Model = "last",
    event_names: Sequence[str] = (),
) -> Asked:
    """The question that a caller asks. Raises Refused: validation_failed, surface_not_enabled."""
    now_ms = desk.clock.now_ms()
    period = read_period(query.from_, query.to, query.timezone, now_ms)
    audience = audience_of(query.include_bots, query.include_suspects)
    as_of_ms = _as_of(query.as_of, now_ms)
    plan = await desk.read(lambda tx: plan_with_surface(tx, workspace_id))
    filters = {
        name: values
        for name in ("link", "variant", "rule", "domain", "tag", *OF_CONTEXT)
        if (values := _values(getattr(query, _NAMES.get(name, name)), name))
    }
    if named := [name for name in event_names if name]:
        filters["event_name"] = named
    question = Question(
        workspace_id,
        mode,
        *period.bounds,
        query.timezone,
        now_ms,
        tuple(by),
        clock,
        filters,
        tuple(filter(None, LEFT_OUT[audience])),
        as_of_ms,
        retention.shown_from_ms(plan, now_ms),
        model=model,
    )
    if not isinstance(query, PageQuery):
        return Asked(question, period, None, as_of_ms)
    compared = _compared(query.compare, period, query.timezone, now_ms)
    if query.series:
        _refuse_series(question)
    question = question._replace(
        compared_from_ms=compared.from_ms if compared else 0,
        compared_to_ms=compared.to_ms if compared else 0,
        series=query.series,
        offset=int(query.cursor or 0),
        limit=query.limit,
    )
    return Asked(question, period, compared, as_of_ms)


def _values(values: list[str], name: str) -> list[str]:
    """The values of a filter; for an id, an empty one asks for all."""
    return [value for value in values if value or name not in ("link", "domain", "tag", "variant", "rule")]


def _as_of(text: str, now_ms: int) -> int:
    if not text:
        return 0
    try:
        as_of_ms = from_rfc3339(text)
    except ValueError:
        raise bad("as_of", "instant_malformed") from None
    # What is still to come may be received and judged in any way.
    if not 0 < as_of_ms <= now_ms:
        raise bad("as_of", "instant_not_past")
    return as_of_ms


def _refuse_series(question: Question) -> None:
    if len(question.by) != 1 or question.by[0] not in UNITS:
        raise bad("series")
    if (question.to_ms - question.from_ms) // _UNIT_MS[question.by[0]] > UNITS_MAX:
        raise bad("from")


def _compared(compare: str, period: Period, timezone: str, now_ms: int) -> Period | None:
    """The period before, as long; or the same days a year earlier."""
    if not compare:
        return None
    try:
        first, last = date.fromisoformat(period.from_text), date.fromisoformat(period.to_text)
    except ValueError:
        length_ms = period.to_ms - period.from_ms
        if compare == "year":
            length_ms = 365 * DAY_MS
        return Period("", "", max(period.from_ms - length_ms, 1), max(period.to_ms - length_ms, 1), period.zone)
    try:
        if compare == "year":
            first, last = _year_before(first), _year_before(last)
        else:
            first, last = first - ((last - first) + timedelta(days=1)), first - timedelta(days=1)
    except (OverflowError, ValueError):
        raise bad("from") from None
    return read_period(first.isoformat(), last.isoformat(), timezone, now_ms)


def _year_before(day: date) -> date:
    return day.replace(year=day.year - 1, day=28 if (day.month, day.day) == (2, 29) else day.day)


def plan_with_surface(tx: Tx, workspace_id: str) -> str:
    """A workspace's plan. Raises Refused(surface_not_enabled)."""
    workspace = workspaces.find(tx, workspace_id)
    if workspace is None or SURFACE not in entitlements.open_surfaces(tx, workspace_id, workspace.plan):
        raise Refused("surface_not_enabled", surface=SURFACE)
    return workspace.plan


def bad(field: str, code: str = "field_type") -> Refused:
    """A parameter that cannot be what it is."""
    return Refused("validation_failed", errors=(FieldError(field, code),))
