"""The bridge between the two clocks: opening + new - taken back = closing, by the day of the event and of the click.

What was earned by clicks of any day is new on the days of its sales and taken back on the days of its follow-ons. So
the balance of one day is the opening of the next; and the balances of all days of clicks, with what came later, are
what the report by the day of the click tells.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nimriz.analytics import zones
from nimriz.analytics.dimensions import Question
from nimriz.analytics.lines import clamped, lines_asked, lines_at
from nimriz.analytics.rows import Rows
from nimriz.base.clock import DAY_MS

_BEFORE, _WITHIN, _LATER = 0, 1, 2
_FIRST_CLICK = "select min(clicked_ms) from verdicts where status = 'attributed' and mode = :mode"


def bridged(rows: Rows, question: Question) -> dict[str, Any]:
    """By currency: `days` of events in the period, `click_days` of clicks, each a list of [day, amounts...].

    Of a day: new, taken back. Of a day of clicks: opening, new, taken back, and net of what came later.
    """
    from_ms, to_ms = clamped(question)
    source, condition = lines_asked(question._replace(from_ms=0, to_ms=question.now_ms + 2 * DAY_MS, clock="event"))
    params = {**condition.params, "begin_ms": from_ms, "end_ms": to_ms}
    (first_ms,) = rows.all(_FIRST_CLICK, {"mode": question.mode})[0]
    part = f"case when l.event_ms < :begin_ms then {_BEFORE} when l.event_ms < :end_ms then {_WITHIN} else {_LATER} end"
    event_day = zones.start("l.event_ms", "day", question.zone, from_ms, to_ms)
    click_day = zones.start("l.clicked_ms", "day", question.zone, first_ms or from_ms, question.now_ms + DAY_MS)
    found = rows.all(
        f"{lines_at(question)} "
        f"select l.currency, {part} as part, case when {part} = {_WITHIN} then {event_day} else 0 end as k0, "
        f"{click_day} as k1, sum(cast(l.gross_minor as decimal(38, 0))), sum(l.taken_minor) from {source} "
        f"where {condition.sql} and l.status = 'attributed' and l.currency <> '' group by l.currency, part, k0, k1",
        params,
    )
    by_currency: dict[str, _Sums] = {}
    for currency, *line in found:
        by_currency.setdefault(currency, _Sums()).add(line)
    return {"currencies": {currency: sums.told(question) for currency, sums in sorted(by_currency.items())}}


class _Sums:
    def __init__(self) -> None:
        self.days: dict[int, list[int]] = {}
        self.click_days: dict[int, list[int]] = {}

    def add(self, line: Iterable[Any]) -> None:
        """Add what one day's clicks brought on one day."""
        part, event_day, click_day, gross, taken = line
        of_click = self.click_days.setdefault(int(click_day), [0, 0, 0, 0])
        if part == _WITHIN:
            of_day = self.days.setdefault(int(event_day), [0, 0])
            of_day[0] += int(gross)
            of_day[1] += int(taken)
            of_click[1] += int(gross)
            of_click[2] += int(taken)
        else:
            of_click[0 if part == _BEFORE else 3] += int(gross) - int(taken)

    def told(self, question: Question) -> dict[str, list[list[Any]]]:
        """Plain values, in the order of days."""

        def told(days: dict[int, list[int]]) -> list[list[Any]]:
            return [[zones.label(day, "day", question.zone), *sums] for day, sums in sorted(days.items())]

        moved = {day: sums for day, sums in self.click_days.items() if any(sums)}
        return {"days": told(self.days), "click_days": told(moved)}
