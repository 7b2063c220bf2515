"""The projector: copies what was committed into the columnar store, by cursor, exactly once in effect.

A page and the cursors that say so are one transaction, so it may be killed anywhere and goes on from there. The store
holds nothing that the records and the click logs do not; what does not fit them any more is made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from nimriz.analytics import sources
from nimriz.analytics.duck import Store
from nimriz.analytics.lines import AS_OF_NOW_MS, REFRESHED
from nimriz.analytics.rows import Rows
from nimriz.analytics.sources import Cursors, LedgerPage, LogPage
from nimriz.analytics.tables import CONTEXT, columns_of
from nimriz.base.clock import DAY_MS
from nimriz.store.db import Database

UNREAD_MS = 600_000
"""An agent that is unread for so long stays unknown."""
UNREAD_MAX = 5_000
"""So many unread agents are asked for at a time."""

_TOUCH = ", ".join(name for name, _ in columns_of("touches"))
_HERE = "workspace_id = cast(:workspace_id as UUID) and mode = :mode"
_REFRESH = (
    "create or replace temp table affected as select event_id from staged union "
    f"select event_id from outcomes where {_HERE} and event_name = 'sale' "
    "and related_event_id in (select event_id from staged) union "
    f"select event_id from movements where {_HERE} and sale_event_id in (select event_id from staged)",
    "create or replace temp table needed as select event_id from affected union "
    f"select sale_event_id from movements where {_HERE} and event_id in (select event_id from affected) union "
    f"select related_event_id from outcomes where {_HERE} and event_id in (select event_id from affected)",
    f"delete from standing_lines where {_HERE} and event_id in (select event_id from affected)",
    f"insert into standing_lines {REFRESHED}",
)
CONTEXT_MS = 32 * DAY_MS
"""So long a context is kept. Clicks name it on its own day alone; the rest is for clocks that were put right."""
_OF_CONTEXT = ", ".join(f"c.{name}" for name in CONTEXT)
_ADD_CLICKS = (
    "insert into clicks select c.log, s.seq, c.workspace_id, s.clicked_ms, c.decision, c.tracked, s.visitor, "
    f"c.quality, c.quality, s.click_id, c.link_id, c.domain_id, {_OF_CONTEXT} from staged as s "
    "join contexts as c on c.log = :log and c.context_id = s.context_id order by s.seq"
)
_ADD_UNREAD = (
    "insert into unread select c.log, s.seq, s.clicked_ms from staged as s "
    "join contexts as c on c.log = :log and c.context_id = s.context_id where c.read = 0"
)
_FORGET_CONTEXTS = "delete from contexts where log = :log and made_ms < :before_ms"
_NEW_TAGS = (
    "insert into tagsets select tags, unnest(from_json(tags, '[\"varchar\"]')) from (select distinct tags "
    "from contexts where log = :log and context_id >= :from_id and tags <> '[]' "
    "and tags not in (select tags from tagsets)) as fresh"
)
_AGENT = (("log", "integer"), ("seq", "bigint"), ("device", "varchar"), ("os", "varchar"), ("browser", "varchar"))


class Projector:
    """Copies into one store, from one thread. `fresh_ms` is the instant up to which everything has been copied, or 0.

    `copied` counts clicks since the start.
    """

    def __init__(
        self, store: Store, records: Database, logs: Callable[[], Mapping[int, Database]], now_ms: Callable[[], int]
    ) -> None:
        self._store, self._records, self._logs, self._now_ms = store, records, logs, now_ms
        self.copied = 0
        self._cursors: Cursors = {}
        self.fresh_ms = 0
        self.recall()

    def recall(self) -> None:
        """Learn how far the store is, and start anew when it is further than what it was copied from."""
        self._cursors = dict(self._store.read(_cursors))
        if self._records.read(partial(sources.gone_back, cursors=self._cursors)) or any(
            log.read(partial(sources.log_gone_back, number=number, cursors=self._cursors))
            for number, log in self._logs().items()
        ):
            self._store.start_anew()
            self._cursors = dict(self._store.read(_cursors))
        self.fresh_ms = self._cursors.get("fresh", 0)

    def catch_up(self, told: Callable[[], None] = lambda: None) -> None:
        """Copy everything that is committed now. `told` is called after each page. Raises StoreError and Damaged."""
        more = True
        while more:
            began_ms = self._now_ms()
            more = self.copy_pages()
            told()
            if not more:
                self.fresh_ms = max(self.fresh_ms, began_ms)

    def copy_pages(self) -> bool:
        """Copy a page of everything; whether there is more. The ledger first: its clicks are on disk before it."""
        began_ms = self._now_ms()
        ledger = self._records.read(partial(sources.ledger_page, cursors=self._cursors))
        logs = self._logs()
        pages = {n: log.read(partial(sources.log_page, number=n, cursors=self._cursors)) for n, log in logs.items()}
        more = ledger.more or any(page.more for page in pages.values())
        agents = self._read_agents(logs, began_ms)
        cursors: Cursors = dict(ledger.cursors)
        for page in pages.values():
            cursors |= page.cursors
        emptied = ledger.emptied != self._cursors.get("emptyings", 0)
        if not (cursors or agents or emptied):
            return more
        if emptied:
            # What is left of the test ledgers is copied once more, from their beginnings.
            cursors = {name: at for name, at in cursors.items() if not name.startswith("test ")}
            cursors |= {sources.cursor_of(name, "test"): 0 for name in sources.LEDGER}
            cursors["emptyings"] = ledger.emptied
            more = True
        if not more:
            cursors["fresh"] = began_ms

        def copy(rows: Rows) -> None:
            if emptied:
                _empty_test(rows)
            _add_ledger(rows, ledger, emptied)
            for page in pages.values():
                _add_log(rows, page)
            _add_agents(rows, agents, began_ms)
            _move(rows, self._cursors, cursors)

        self._store.write(copy)
        self._cursors |= cursors
        self.copied += sum(page.clicks for page in pages.values())
        return more

    def _read_agents(self, logs: Mapping[int, Database], now_ms: int) -> list[list[Any]]:
        """What became known of clicks whose agent was unread: log, number, device, system, browser."""
        found: list[list[Any]] = []
        unread = self._store.read(partial(_unread, since_ms=now_ms - UNREAD_MS))
        for number, log in logs.items():
            seqs = [seq for of, seq in unread if of == number]
            if seqs:
                found += [[number, *row] for row in log.read(partial(sources.agents_of, seqs=seqs))]
        return found


def _cursors(rows: Rows) -> list[tuple[str, int]]:
    return [(name, value) for name, value in rows.all("select name, value from cursors")]


def _move(rows: Rows, before: Cursors, moved: Cursors) -> None:
    for name, value in moved.items():
        if name in before:
            rows.all("update cursors set value = :value where name = :name", {"name": name, "value": value})
        else:
            rows.all("insert into cursors (name, value) values (:name, :value)", {"name": name, "value": value})


def _unread(rows: Rows, since_ms: int) -> list[tuple[int, int]]:
    found = rows.all(
        "select log, seq from unread where clicked_ms >= :since_ms order by clicked_ms limit :limit_count",
        {"since_ms": since_ms, "limit_count": UNREAD_MAX},
    )
    return [(log, seq) for log, seq in found]


def _empty_test(rows: Rows) -> None:
    for name in (*sources.LEDGER, "standing_lines"):
        rows.all(f"delete from {name} where mode = 'test'")


def _add_ledger(rows: Rows, page: LedgerPage, emptied: bool) -> None:
    for name, found in page.rows.items():
        rows.append(name, [row for row in found if not (emptied and row[0] == "test")])
    if page.decisions is not None:
        rows.all("delete from decisions")
        rows.append("decisions", page.decisions)
    _refresh_lines(rows, page, emptied)
    named = {(row[10], row[11]) for row in page.rows.get("verdicts", []) if row[11]}
    named |= {(row[4], row[7]) for row in page.rows.get("ties", [])}
    if named:
        rows.stage(columns_of("awaited"), [list(pair) for pair in named])
        rows.all(
            "insert into awaited select click_id, clicked_ms from staged as s "
            "where not exists (select 1 from touches as t where t.click_id = s.click_id) "
            "and not exists (select 1 from awaited as a where a.click_id = s.click_id)"
        )
        bounds = {"from_ms": min(at for _, at in named), "to_ms": max(at for _, at in named)}
        _touch(rows, "clicked_ms >= :from_ms and clicked_ms <= :to_ms", bounds)


def _refresh_lines(rows: Rows, page: LedgerPage, emptied: bool) -> None:
    """Write anew the lines of every event that a page says something about, and of those that hang on it."""
    changed: dict[tuple[str, str], set[str]] = {}
    for name in ("outcomes", "verdicts", "movements"):
        for mode, _, workspace_id, event_id, *rest in page.rows.get(name, []):
            if not (emptied and mode == "test"):
                of_workspace = changed.setdefault((mode, workspace_id), set())
                of_workspace.add(event_id)
                if name == "movements":
                    of_workspace.add(rest[0])
    for (mode, workspace_id), event_ids in changed.items():
        params = {"mode": mode, "workspace_id": workspace_id, "as_of_ms": AS_OF_NOW_MS}
        rows.stage((("event_id", "varchar"),), [[event_id] for event_id in event_ids])
        for statement in _REFRESH:
            rows.all(statement, params)


def _touch(rows: Rows, condition: str, bounds: Mapping[str, int]) -> None:
    """Keep the clicks that are awaited, of those for which this is true."""
    rows.all(
        f"insert into touches ({_TOUCH}) select {_TOUCH} from clicks "
        f"where {condition} and click_id in (select click_id from awaited)",
        bounds,
    )
    rows.all("delete from awaited where click_id in (select click_id from touches)")


def _add_log(rows: Rows, page: LogPage) -> None:
    if page.contexts:
        of_log = {"log": page.number, "from_id": page.contexts[0][1]}
        rows.append("contexts", page.contexts)
        rows.all(_NEW_TAGS, of_log)
    if page.clicks:
        rows.stage_lines(sources.CLICK_LINE, page.lines)
        rows.all(_ADD_CLICKS, {"log": page.number})
        rows.all(_ADD_UNREAD, {"log": page.number})
        if rows.all("select 1 from awaited limit 1"):
            first_seq = int(rows.all("select min(seq) from staged")[0][0])
            _touch(rows, "log = :log and seq >= :first_seq", {"log": page.number, "first_seq": first_seq})
        # Not before: the page may begin on the day on which the one before it ended, and end much later.
        rows.all(_FORGET_CONTEXTS, {"log": page.number, "before_ms": page.newest_ms - CONTEXT_MS})
    if page.judgments:
        rows.append("judgments", page.judgments)
        newest = {row[2]: row for row in page.judgments}
        rows.stage(columns_of("judgments"), list(newest.values()))
        rows.all(
            "update clicks set quality = s.quality from staged as s "
            "where clicks.log = s.log and clicks.seq = s.click_seq"
        )
    if page.forgotten:
        rows.stage((("log", "integer"), ("seq", "bigint")), page.forgotten)
        for table, seq in (("clicks", "seq"), ("judgments", "click_seq"), ("unread", "seq")):
            rows.all(f"delete from {table} using staged as s where {table}.log = s.log and {table}.{seq} = s.seq")


def _add_agents(rows: Rows, agents: list[list[Any]], now_ms: int) -> None:
    if not agents:
        return
    rows.stage(_AGENT, agents)
    told = "set device = s.device, os = s.os, browser = s.browser from staged as s"
    rows.all(
        f"update touches {told} join clicks as c on c.log = s.log and c.seq = s.seq where touches.click_id = c.click_id"
    )
    rows.all(f"update clicks {told} where clicks.log = s.log and clicks.seq = s.seq")
    rows.all("delete from unread using staged as s where unread.log = s.log and unread.seq = s.seq")
    rows.all("delete from unread where clicked_ms < :since_ms", {"since_ms": now_ms - UNREAD_MS})
