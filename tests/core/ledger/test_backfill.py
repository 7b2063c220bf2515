"""Backfill: a file ends in the same ledger as the same events posted, however often it was stopped."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings

from nimriz.core.ledger import backfill, event_files
from nimriz.core.ledger.backfill import Job, Report, ReportRefused
from nimriz.core.ledger.event_files import COLUMNS
from nimriz.store.db import StoreError
from tests.laws.examples import A, back, lead, sale
from tests.laws.facts import Event
from tests.laws.histories import histories
from tests.laws.ledger import WORKSPACE, Ledger, body, opened


def as_csv(events: list[Event]) -> bytes:
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, restval="")
    writer.writeheader()
    for event in events:
        sent = json.loads(body(event))
        writer.writerow(
            {k: v for part in (sent, sent["user_data"], sent["custom_data"]) for k, v in part.items() if k in COLUMNS}
        )
    return file.getvalue().encode()


def job(ledger: Ledger, dry_run: bool = False) -> Job:
    return Job(WORKSPACE, ledger.mode, "sha", dry_run)


def bring_in(ledger: Ledger, raw: bytes, path: Path, dry_run: bool = False) -> Report:
    report = Report.begin(path, job(ledger, dry_run), "import-1")
    try:
        rows = event_files.read_csv(io.BytesIO(raw), lambda: ledger.arrival_ms)
        backfill.bring_in(ledger.recorder, job(ledger, dry_run), rows, report, lambda: None)
    finally:
        report.close()
    return report


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(histories())
def test_a_file_ends_in_what_the_same_events_end_in_when_posted(tmp_path: Path, history: list[Event]) -> None:
    event_ids = [event.event_id for event in history]
    with opened() as posted, opened() as imported, patch.object(backfill, "ROWS_MAX", 3):
        posted.record_all([history])
        (tmp_path / "report").unlink(missing_ok=True)
        report = bring_in(imported, as_csv(history), tmp_path / "report")
        assert report.counts["recorded"] == len(history)
        assert imported.state(event_ids) == posted.state(event_ids)


EVENTS = [
    lead("l", click=A, person="ann"), sale("s", click=None, person="ann", order="o"), back("r", 30, order="o"),
    sale("t", 5),
]  # fmt: skip


def test_a_stopped_import_goes_on_where_its_report_ends_and_every_row_is_told_of_once(tmp_path: Path) -> None:
    path = tmp_path / "report"
    with opened() as ledger, patch.object(backfill, "ROWS_MAX", 1):
        commits = 0
        commit = ledger.recorder.commit

        def stops(units: Any) -> Any:
            nonlocal commits
            commits += 1
            if commits == 3:
                commit(units)  # On disk, but nobody hears of it.
                raise KeyboardInterrupt
            return commit(units)

        ledger.recorder.commit = stops  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            bring_in(ledger, as_csv(EVENTS), path)
        with path.open("ab") as file:
            file.write(b'{"row":3,"li')
        report = bring_in(ledger, as_csv(EVENTS), path)
        assert (report.rows, report.counts["recorded"], report.counts["repeated"]) == (4, 3, 1)
        told = lines(path)
        assert [one["row"] for one in told[1:-1]] == [1, 2, 3, 4]
        assert [one["event_id"] for one in told[1:-1]] == ["l", "s", "r", "t"]
        assert told[-1] == {"end": dict(sorted(report.counts.items())), "rows": 4}
        again = bring_in(ledger, as_csv(EVENTS), path)
        assert (again.counts["recorded"], again.counts["repeated"], again.counts["different"]) == (0, 4, 0)


def test_a_dry_run_tells_the_verdicts_and_records_nothing(tmp_path: Path) -> None:
    with opened() as ledger:
        before = ledger.dump()
        report = bring_in(ledger, as_csv(EVENTS), tmp_path / "report", dry_run=True)
        assert (report.counts["valid"], report.counts["attributed"], report.counts["recorded"]) == (4, 4, 0)
        assert ledger.dump() == before


def test_refused_rows_are_told_by_code_and_without_what_they_said(tmp_path: Path) -> None:
    raw = as_csv(EVENTS[:1]) + b"sale,secret-id,,,,12.345,USD,,,,,\r\n" + b"nonsense\r\n"
    with opened() as ledger:
        report = bring_in(ledger, raw, tmp_path / "report")
        assert (report.counts["recorded"], report.counts["refused"]) == (1, 2)
        told = lines(tmp_path / "report")
        assert (told[2]["line"], told[2]["http_status"], told[2]["code"]) == (3, 422, "validation_failed")
        assert told[2]["errors"][0]["code"] == "value_precision"
        assert "secret" not in (tmp_path / "report").read_text()


def test_a_report_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "report"
    with opened() as ledger:
        for content in (b"my diary\n", b'{"import":{"import_id":"x","workspace_id":"other"}}\n'):
            path.write_bytes(content)
            with pytest.raises(ReportRefused):
                bring_in(ledger, as_csv(EVENTS), path)
            assert path.read_bytes() == content


def test_a_store_that_cannot_be_written_stops_the_import_and_loses_nothing(tmp_path: Path) -> None:
    with opened() as ledger:
        commit = ledger.recorder.commit
        ledger.recorder.commit = lambda units: [StoreError("busy") for _ in units]  # type: ignore[method-assign]
        with patch("time.sleep"), pytest.raises(StoreError):
            bring_in(ledger, as_csv(EVENTS), tmp_path / "report")
        ledger.recorder.commit = commit  # type: ignore[method-assign]
        assert bring_in(ledger, as_csv(EVENTS), tmp_path / "report").counts["recorded"] == 4
