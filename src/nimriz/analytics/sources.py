"""What the projector reads: what was committed to the records and the click logs after a cursor, a page at a time.

Rows come in the order and the shape of the columnar tables. Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nimriz.analytics.tables import NO_ID
from nimriz.core.directory.mode import MODES, Mode, by_mode
from nimriz.store.db import Database, Row, Tx
from nimriz.store.sqlite import Sqlite

PAGE_ROWS = 20_000

_AFTER = "seq > :after_seq order by seq limit :limit_count"
_LEDGER: dict[str, dict[str, str]] = {
    name: dict(by_mode(f"select {columns} from @{name} where {_AFTER}"))
    for name, columns in {
        "outcomes": (
            "seq, workspace_id, event_id, event_name, event_time_ms, received_at_ms, value_minor, currency, "
            "order_id, related_event_id, related_order_id, person_id, identified"
        ),
        "verdicts": (
            "seq, workspace_id, event_id, judged_at_ms, status, method, reason, "
            f"case when link_id = '' then '{NO_ID}' else link_id end, decision, "
            f"case when click_id = '' then '{NO_ID}' else click_id end, coalesce(clicked_at_ms, 0)"
        ),
        "settlements": "seq, workspace_id, event_id, judged_at_ms, status, currency, applied_minor, excess_minor",
        "movements": "seq, workspace_id, event_id, sale_event_id, amount_minor, moved_at_ms",
        "ties": (
            "seq, workspace_id, person_id, click_id, link_id, decision, clicked_at_ms, window_days, from_ms, event_id, "
            "tied_at_ms"
        ),
    }.items()
}
LEDGER = tuple(_LEDGER)
_NEWEST = {name: by_mode(f"select coalesce(max(seq), 0) from @{name}") for name in LEDGER}
_DECISIONS = "select link_id, decision, rule_id, variant from decisions"
_DECISION_COUNT = "select count(*) from decisions"
_EMPTYINGS = "select coalesce(max(seq), 0) from emptyings"
# One text for a page of clicks: rows that this process never takes apart cost it nothing each.
_CLICKS = (
    "select count(*), coalesce(max(seq), 0), coalesce(max(clicked_at_ms), 0), coalesce(max(context_id), 0), "
    "string_agg(line, '\n') from (select seq, clicked_at_ms, context_id, "
    "seq || ',' || hex(click_id) || ',' || clicked_at_ms || ',' || "
    "case when visitor is null then '' else '0x' || hex(visitor) end || ',' || context_id as line "
    f"from click_rows where {_AFTER})"
)
CLICK_LINE = (
    ("seq", "bigint"), ("click_id", "UUID"), ("clicked_ms", "bigint"), ("visitor", "UInt64"), ("context_id", "bigint"),
)  # fmt: skip
"""What a line of a page of clicks has, in this order."""
_CONTEXTS = (
    "select context_id, made_at_ms, workspace_id, decision, tracked, quality, link_id, domain_id, touch_type, "
    "placement, destination_host, referrer_host, utm_source, utm_medium, utm_campaign, utm_term, utm_content, country, "
    "region, city, language, coalesce(device, ''), coalesce(os, ''), coalesce(browser, ''), tags, token_suppressed, "
    "case when click_contexts.agent_id is null then 0 else 1 end "
    "from click_contexts left join agents on agents.agent_id = click_contexts.agent_id "
    "where context_id > :after_id and context_id <= :upto_id order by context_id"
)
_JUDGMENTS = f"select seq, click_seq, judged_at_ms, quality from click_judgments where {_AFTER}"
_FORGOTTEN = f"select seq, click_seq from forgotten where {_AFTER}"
_FORGOTTEN_FROM = "select coalesce(min(seq), 0) from forgotten"
_LOG_NEWEST = "select (select coalesce(max(seq), 0) from click_rows), (select coalesce(max(seq), 0) from forgotten)"
_AGENTS = (
    "select click_seq, device, os, browser from click_agents join agents on agents.agent_id = click_agents.agent_id "
    "where click_seq in (:keys)"
)

Cursors = dict[str, int]


class LedgerPage(NamedTuple):
    """Rows of both ledgers by table. `emptied` is the number of the newest emptying of a test ledger.

    `decisions` are all that there are, where there are others than were copied, else None: they are never changed.
    """

    rows: dict[str, list[list[Any]]]
    cursors: Cursors
    emptied: int
    decisions: list[Row] | None
    more: bool


class LogPage(NamedTuple):
    """What one click log holds: contexts, and clicks that name them, so many, as lines of CLICK_LINE.

    `newest_ms` is the instant of the newest of these clicks.
    """

    number: int
    contexts: list[list[Any]]
    clicks: int
    lines: str
    newest_ms: int
    judgments: list[list[Any]]
    forgotten: list[list[Any]]
    cursors: Cursors
    more: bool


def ledger_page(tx: Tx, cursors: Cursors) -> LedgerPage:
    """The next rows of every table of both ledgers."""
    rows: dict[str, list[list[Any]]] = {}
    moved: Cursors = {}
    more = False
    for name in LEDGER:
        for mode in MODES:
            cursor = cursor_of(name, mode)
            page = tx.all(_LEDGER[name][mode], {"after_seq": cursors.get(cursor, 0), "limit_count": PAGE_ROWS})
            if page:
                rows.setdefault(name, []).extend([mode, *row] for row in page)
                moved[cursor] = int(page[-1][0])
                more |= len(page) == PAGE_ROWS
    decision_count, decisions = _number(tx.one(_DECISION_COUNT)), None
    if decision_count != cursors.get("decisions", 0):
        decisions, moved["decisions"] = tx.all(_DECISIONS), decision_count
    return LedgerPage(rows, moved, _number(tx.one(_EMPTYINGS)), decisions, more)


def cursor_of(table: str, mode: Mode) -> str:
    """The name of the cursor of one table of one ledger."""
    return f"{mode} {table}"


def log_page(tx: Tx, number: int, cursors: Cursors) -> LogPage:
    """The next rows of the click log of this number."""

    def page(name: str, sql: str) -> list[Row]:
        rows = tx.all(sql, {"after_seq": cursors.get(f"{name} {number}", 0), "limit_count": PAGE_ROWS})
        if rows:
            moved[f"{name} {number}"] = int(rows[-1][0])
        return rows

    moved: Cursors = {}
    judged, gone = page("judgments", _JUDGMENTS), page("forgotten", _FORGOTTEN)
    before = {"after_seq": cursors.get(f"clicks {number}", 0), "limit_count": PAGE_ROWS}
    count, newest, newest_ms, newest_context, lines = tx.one(_CLICKS, before) or (0, 0, 0, 0, None)
    contexts: list[Row] = []
    if count:
        moved[f"clicks {number}"] = newest
        known = cursors.get(f"contexts {number}", 0)
        if newest_context > known:
            contexts = tx.all(_CONTEXTS, {"after_id": known, "upto_id": newest_context})
            moved[f"contexts {number}"] = newest_context
    if count == PAGE_ROWS:
        # No judgment before its click.
        ahead = next((n for n, row in enumerate(judged) if row[1] > newest), len(judged))
        judged = judged[:ahead]
        moved[f"judgments {number}"] = int(judged[-1][0]) if judged else cursors.get(f"judgments {number}", 0)
    return LogPage(
        number,
        [[number, *row] for row in contexts],
        count,
        lines or "",
        newest_ms,
        [[number, *row] for row in judged],
        [[number, row[1]] for row in gone],
        moved,
        max(count, len(judged), len(gone)) == PAGE_ROWS,
    )


def agents_of(tx: Tx, seqs: Sequence[int]) -> list[Row]:
    """What clicks turned out to be made with: number, device, system, browser. Those still unread are left out."""
    return tx.each(_AGENTS, seqs)


def gone_back(tx: Tx, cursors: Cursors) -> bool:
    """Whether the ledgers hold less than was copied: then they are others, from a backup."""
    return any(
        _number(tx.one(_NEWEST[name]["live"])) < cursors.get(cursor_of(name, "live"), 0) for name in LEDGER
    ) or _number(tx.one(_EMPTYINGS)) < cursors.get("emptyings", 0)


def log_gone_back(tx: Tx, number: int, cursors: Cursors) -> bool:
    """The same for a click log; or whether clicks were forgotten that nobody remembers any more."""
    newest = tx.one(_LOG_NEWEST) or (0, 0)
    copied, gone = cursors.get(f"clicks {number}", 0), cursors.get(f"forgotten {number}", 0)
    remembered_from = _number(tx.one(_FORGOTTEN_FROM))
    return newest[0] < copied or newest[1] < gone or (copied > 0 and gone < remembered_from - 1)


def clicks_in(log: Database) -> int:
    """How many clicks a log holds, about: what was forgotten counts too."""
    return log.read(lambda tx: _number(tx.one(_LOG_NEWEST)))


def click_logs(data_dir: Path, opened: dict[int, Database]) -> dict[int, Database]:
    """Every click log there is, by number; opens those that are new."""
    for path in data_dir.glob("clicks-*.db"):
        number = int(path.stem.removeprefix("clicks-"))
        if number not in opened:
            opened[number] = Sqlite(path)
    return opened


def _number(row: Row | None) -> int:
    return 0 if row is None else int(row[0])
