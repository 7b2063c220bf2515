"""Lines: every outcome, and whatever a follow-on took, as reports add them up: whose it is, when, and how much.

The SQL is the subset that DuckDB and ClickHouse share.
"""

from __future__ import annotations

from typing import Any

from nimriz.analytics import conditions, credit
from nimriz.analytics.conditions import Condition
from nimriz.analytics.dimensions import Question
from nimriz.analytics.tables import columns_of
from nimriz.base.clock import DAY_MS
from nimriz.core.ledger.attribution import EXCLUDED

_STANDING = (
    "select v.event_id, v.status, v.reason, v.link_id, v.decision, v.click_id, v.clicked_ms from verdicts as v "
    "join (select max(seq) as seq from verdicts where workspace_id = cast(:workspace_id as UUID) and mode = :mode "
    "and judged_ms <= :as_of_ms{some} group by event_id) as newest on newest.seq = v.seq "
    "where v.workspace_id = cast(:workspace_id as UUID) and v.mode = :mode"
)
_KNOWN = (
    "select event_id, event_name, event_ms, value_minor, currency, related_event_id from outcomes "
    "where workspace_id = cast(:workspace_id as UUID) and mode = :mode and received_ms <= :as_of_ms{some}"
)
# What stands between an event and a sale counts with the sale's link and click, and under the event clock on the
# event's own day. Corrections that came to nothing leave no trace.
_MOVED = (
    "select event_id, sale_event_id, sum(cast(amount_minor as decimal(38, 0))) as amount_minor from movements "
    "where workspace_id = cast(:workspace_id as UUID) and mode = :mode and moved_ms <= :as_of_ms{some} "
    "group by event_id, sale_event_id"
)
_ALL = (
    f"with known as ({_KNOWN}), standing as ({_STANDING}), moved as ({_MOVED}), lines as ("
    "select o.event_id as event_id, '' as sale_event_id, o.event_name as event_name, o.event_ms as event_ms, "
    "s.status as status, s.reason as reason, s.link_id as link_id, s.decision as decision, s.click_id as click_id, "
    "s.clicked_ms as clicked_ms, "
    "case when r.event_id is null then o.event_name else 'reinstatement' end as counted, "
    "case when o.event_name = 'sale' and r.event_id is null and o.value_minor is not null "
    f"and s.reason <> '{EXCLUDED.reason}' then o.currency else '' end "
    "as currency, 1 as events, "
    "case when o.event_name = 'sale' and r.event_id is null "
    f"and s.reason <> '{EXCLUDED.reason}' then coalesce(o.value_minor, 0) else 0 end as gross_minor, "
    "cast(0 as decimal(38, 0)) as taken_minor "
    "from known as o join standing as s on s.event_id = o.event_id "
    "left join (select event_id from known where event_name = 'reversal') as r "
    "on r.event_id = o.related_event_id and o.event_name = 'sale' "
    "union all "
    "select o.event_id, m.sale_event_id, "
    "o.event_name, o.event_ms, s.status, s.reason, s.link_id, s.decision, s.click_id, s.clicked_ms, '', "
    "sale.currency, 0, 0, m.amount_minor from moved as m join known as o on o.event_id = m.event_id "
    "join known as sale on sale.event_id = m.sale_event_id join standing as s on s.event_id = m.sale_event_id "
    "where m.amount_minor <> 0)"
)
LINES_AS_OF = _ALL.format(some="")
"""SQL that begins a statement: `lines` has every event that stood at a moment, and what a follow-on took as another."""
COLUMNS = ", ".join(name for name, _ in columns_of("standing_lines") if name not in ("mode", "workspace_id"))
LINES = (
    f"with lines as (select {COLUMNS} from standing_lines "
    "where workspace_id = cast(:workspace_id as UUID) and mode = :mode)"
)
"""The same for those that stand now."""
REFRESHED = (
    _ALL.format(some=" and event_id in (select event_id from needed)")
    + f" select :mode, cast(:workspace_id as UUID), {COLUMNS} from lines "
    "where event_id in (select event_id from affected)"
)
"""SQL: the rows of `standing_lines` for the events that are `affected`, from all that are `needed` for them."""
AS_OF_NOW_MS = 1 << 62
_FIRST_MS = 946_684_800_000
"""No event is older than the year 2000."""
DECISIONS_OF = " left join decisions as d on d.link_id = {table}.link_id and d.decision = {table}.decision"
"""SQL that joins what the decisions of a table mean."""


def clamped(question: Question) -> tuple[int, int]:
    """The period as far as anything can be in it."""
    from_ms = max(question.from_ms, _FIRST_MS)
    return from_ms, max(min(question.to_ms, question.now_ms + DAY_MS), from_ms)


def lines_at(question: Question) -> str:
    """What begins a statement about the lines of a question: as of a moment or of now, and whom its model credits."""
    lines = LINES_AS_OF if question.as_of_ms else LINES
    return lines if question.model == "last" else f"{lines}, {credit.credited(question.model)}"


def lines_asked(question: Question) -> tuple[str, Condition]:
    """Where the lines of a question are looked for, as `l`, their clicks as `t`, and which of them are meant."""
    from_ms, to_ms = clamped(question)
    params: dict[str, Any] = {
        "workspace_id": question.workspace_id,
        "mode": question.mode,
        "as_of_ms": question.as_of_ms or AS_OF_NOW_MS,
        "from_ms": from_ms,
        "to_ms": to_ms,
    }
    at_ms = "event_ms"
    if question.clock == "click":
        at_ms = "case when status = 'attributed' then clicked_ms else event_ms end"
    lines = "lines" if question.model == "last" else "credited_lines"
    source = f"(select *, {at_ms} as at_ms from {lines}) as l"
    if conditions.needs_context(question):
        source += " left join touches as t on t.click_id = l.click_id"
    if conditions.needs_decisions(question):
        source += DECISIONS_OF.format(table="l")
    return source, conditions.all_of(
        [
            Condition("l.at_ms >= :from_ms and l.at_ms < :to_ms", params),
            conditions.of_event(question, "l.event_name"),
            conditions.of_click(question, "t", "l"),
        ]
    )
