"""Gathering the rows of an export, part after part, into its stage; what is there already is not gathered again.

Clicks are copied by the process that holds the store behind reports, in the form that is wanted. All other rows are
written as NDJSON first, some at a time, and turned into that form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from nimriz.analytics import click_rows, client, tabular
from nimriz.analytics.tabular import Column, Written
from nimriz.core.exports.exports import Export, Reason
from nimriz.core.ledger import conversions
from nimriz.core.ledger.conversions import Filters, Since
from nimriz.core.links import history
from nimriz.exporting import ledger_rows, link_rows, report_rows
from nimriz.exporting.staging import Frame, Position, Stage
from nimriz.installation import Installation
from nimriz.store.db import Database

ANALYTICS_WAIT_S = 60.0
"""So long the columnar store may take to be up to date."""
PART_ROWS = 20_000
"""About so many rows are turned into a part at a time."""
Rows = list[dict[str, Any]]


class Failed(Exception):
    """It cannot be made; the reason is a code."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


class Later(Exception):
    """It cannot be made now."""


class Job(NamedTuple):
    """One attempt: `tell` is told how many rows there are, and of how many."""

    installation: Installation
    logs: Sequence[Database]
    export: Export
    stage: Stage
    tell: Callable[[int, int | None], None]

    @property
    def form(self) -> Written:
        """What the parts are written as: a spreadsheet is made from Parquet."""
        return "parquet" if self.export.format == "xlsx" else self.export.format


def gather(job: Job) -> Frame:
    """Have every row on the stage. Raises Failed, Later and StoreError."""
    match job.export.subject:
        case "clicks":
            return _clicks(job)
        case "conversions":
            return _conversions(job)
        case "links":
            return _links(job)
        case _:
            return _report(job)


def _begun(job: Job, columns: Sequence[Column], make: Callable[[], Frame]) -> Frame:
    """What was begun before, if it was for the same columns; else it begins now."""
    frame = job.stage.frame
    if frame is not None and frame.columns == list(columns):
        return frame
    job.stage.clear()
    return _begin(job, make())


def _begin(job: Job, frame: Frame) -> Frame:
    job.stage.begin(frame, tabular.head(frame.columns, job.form))
    return frame


def _clicks(job: Job) -> Frame:
    question = {"workspace_id": job.export.workspace_id, **job.export.parameters["clicks"]}

    def plan() -> Frame:
        told = _ask(job, {"ask": "plan", "question": question})
        if told["fresh_ms"] < job.export.created_at_ms:
            raise Later
        if told["ahead"]:
            raise Failed("after_ahead")
        total = sum(rows for _, rows in told["pieces"])
        return Frame(list(click_rows.COLUMNS), 0, told["cursors"], told["fresh_ms"], total, told["pieces"])

    frame = _begun(job, click_rows.COLUMNS, plan)
    while isinstance(number := job.stage.goes_on, int):
        # A name of this attempt's own: whoever copied for the one before may not have noticed yet that it is gone.
        path = job.stage.folder / f"piece-{job.export.attempt}"
        told = _ask(
            job,
            {
                "ask": "copy",
                "question": question,
                "piece": frame.plan[number],
                "path": str(path.absolute()),
                "format": job.form,
                "fresh_from_ms": frame.fresh_ms,
            },
        )
        if told["full"]:
            raise Failed("disk_full")
        job.stage.add(path, told["rows"], number + 1 if number + 1 < len(frame.plan) else None)
    return frame


def _conversions(job: Job) -> Frame:
    asked, records = job.export.parameters, job.installation.records
    mode, workspace_id = asked["mode"], job.export.workspace_id
    filters = Filters(asked["from_ms"], asked["to_ms"], asked["link_id"], asked["event_name"])
    columns = ledger_rows.columns(personal=bool(job.export.readable))

    def begin() -> Frame:
        fresh_ms = job.installation.clock.now_ms()
        newest = records.read(lambda tx: conversions.newest(tx, mode))
        if any(newest.get(name, 0) < seq for name, seq in asked["after"].items()):
            raise Failed("after_ahead")
        total = None
        if not (asked["after"] or asked["link_id"] or asked["event_name"]):
            total = records.read(lambda tx: conversions.count(tx, mode, workspace_id, filters))
        return Frame(list(columns), 0, newest, fresh_ms, total, None)

    frame = _begun(job, columns, begin)
    if isinstance(behind_seq := job.stage.goes_on, int):
        vault = job.installation.vault if job.export.readable else None
        # What is filtered is looked for among all events, since an old one may stand otherwise now.
        since = Since(asked["after"], frame.next_after["outcomes"], behind_seq, filters)
        _fill(job, frame, ledger_rows.rows(records, job.logs, vault, workspace_id, mode, since))
    return frame


def _links(job: Job) -> Frame:
    records, after_seq = job.installation.records, job.export.parameters["after"].get("changes", 0)

    def begin() -> Frame:
        newest = records.read(history.newest)
        if newest < after_seq:
            raise Failed("after_ahead")
        now_ms = job.installation.clock.now_ms()
        return Frame(list(link_rows.COLUMNS), "", {"changes": newest}, now_ms, None, None)

    frame = _begun(job, link_rows.COLUMNS, begin)
    if isinstance(beyond_id := job.stage.goes_on, str):
        base_url = job.installation.settings.base_url
        workspace_id, now_ms = job.export.workspace_id, frame.fresh_ms
        _fill(job, frame, link_rows.rows(records, job.logs, workspace_id, base_url, now_ms, after_seq, beyond_id))
    return frame


def _report(job: Job) -> Frame:
    """A report is one answer: it is there, or it is asked again."""
    if job.stage.frame is not None and job.stage.goes_on is None:
        return job.stage.frame
    report = job.export.parameters["report"]
    told = _ask(job, {"ask": report["of"], "question": report["question"]})
    columns, rows = report_rows.table(job.installation.records, job.export.workspace_id, report, told)
    job.stage.clear()
    frame = _begin(job, Frame(columns, "", {}, told["fresh_ms"], len(rows), None))
    _fill(job, frame, [(rows, None)])
    return frame


def _fill(job: Job, frame: Frame, pages: Iterable[tuple[Rows, Position]]) -> None:
    """Stage rows, page by page; each with where those after it begin."""
    names = [column.name for column in frame.columns]
    path, before = job.stage.folder / "rows", job.stage.rows
    count = 0
    file = path.open("wb")
    try:
        for page, goes_on in pages:
            for row in page:
                file.write(msgspec.json.encode({name: row.get(name) for name in names}) + b"\n")
            count += len(page)
            job.tell(before + count, frame.total)
            if count >= PART_ROWS and goes_on is not None:
                file.flush()
                _add(job, frame, count, goes_on)
                file.seek(0)
                file.truncate()
                before, count = before + count, 0
    finally:
        file.close()
    _add(job, frame, count, None)


def _add(job: Job, frame: Frame, count: int, goes_on: Position) -> None:
    folder = job.stage.folder
    if tabular.convert(folder / "rows", frame.columns, folder / "part", job.form) != count:
        raise Failed("internal_error")
    job.stage.add(folder / "part", count, goes_on)


def _ask(job: Job, request: dict[str, Any]) -> Any:
    before = job.stage.rows if job.stage.frame else 0
    total = job.stage.frame.total if job.stage.frame else None
    try:
        return client.command(
            job.installation.settings.data_dir,
            {**request, "wait_s": ANALYTICS_WAIT_S},
            lambda done, _: job.tell(before + done, total),
        )
    except client.Unavailable as error:
        raise Later from error
