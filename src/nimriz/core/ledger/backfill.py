"""Backfill: the events of a file, recorded as if each had been posted, with a verdict for every row in a report.

The report is the memory of an import: it grows after each commit, so an import that was stopped at any point goes on
where its report ends. What is recorded twice in between is a repeat, as always.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from nimriz.base.errors import Refused
from nimriz.core.directory.mode import Mode
from nimriz.core.ledger.event_files import EventRow
from nimriz.core.ledger.intake import Answer, Authentic
from nimriz.core.ledger.recording import Recorder
from nimriz.store.db import StoreError

ROWS_MAX = 250
# After each commit the server beside us has its turn.
PAUSE_S = 0.02
_TRIES = 5
_PLAIN = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode
_ISSUE = Refused("internal_error")


class ReportRefused(Exception):
    """The report cannot be gone on with; the message is the sentence to print."""


class Job(NamedTuple):
    """What is imported: into which ledger, from which file (its SHA-256), whether for real."""

    workspace_id: str
    mode: Mode
    file_sha256: str
    dry_run: bool


@dataclass(slots=True)
class Report:
    """A report on disk: what it tells of the rows so far, and the open file. `rows` is how many rows it knows."""

    path: Path
    import_id: str
    rows: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    _file: BinaryIO | None = None

    @classmethod
    def begin(cls, path: Path, job: Job, import_id: str) -> Report:
        """Open a report: go on with one of the same job that has no end, or begin anew in place of one that has.

        Raises ReportRefused for a file that is another job's, or no report, and OSError.
        """
        report = cls(path, import_id)
        whole = report._read(job) if path.exists() else -1
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        report._file = os.fdopen(handle, "r+b")
        report._file.truncate(max(whole, 0))
        report._file.seek(0, os.SEEK_END)
        if whole <= 0:
            report._write({"import": {"import_id": report.import_id, **job._asdict()}})
        return report

    def _read(self, job: Job) -> int:
        """Take up what a report says; the bytes that are whole lines, or 0 when it begins anew."""
        size = 0
        with self.path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                try:
                    told = json.loads(line)
                    head = told.get("import") if size == 0 else None
                except (ValueError, AttributeError):
                    raise ReportRefused("its report is no report of an import: name another with --report") from None
                if size == 0 and not (head and {**head, "import_id": ""} == {**job._asdict(), "import_id": ""}):
                    raise ReportRefused("its report is that of another import: name another with --report")
                if head:
                    self.import_id = head["import_id"]
                elif "end" in told:
                    self.rows, self.counts = 0, Counter()
                    return 0
                else:
                    self.rows = told["row"]
                    self.counts.update(told["counts_as"])
                size += len(line)
        return size

    def add(self, told: Iterable[dict[str, Any]]) -> None:
        """Add what became of some rows; it is on disk when this returns."""
        for one in told:
            self.rows = one["row"]
            self.counts.update(one["counts_as"])
            self._put(one)
        self._flush()

    def end(self) -> None:
        """Say that it is complete."""
        self._write({"end": dict(sorted(self.counts.items())), "rows": self.rows})
        self.close()

    def close(self) -> None:
        """Close it as it is: another run goes on with it."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, told: dict[str, Any]) -> None:
        self._put(told)
        self._flush()

    def _put(self, told: dict[str, Any]) -> None:
        if self._file is not None:
            self._file.write(_PLAIN(told).encode() + b"\n")

    def _flush(self) -> None:
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())


def bring_in(recorder: Recorder, job: Job, rows: Iterator[EventRow], report: Report, seen: Callable[[], None]) -> None:
    """Record what the report does not tell of yet. `seen` is called after each commit.

    Raises StoreError and OSError.
    """
    for _ in range(report.rows):
        next(rows, None)
    while page := list(islice(rows, ROWS_MAX)):
        claims = [
            Authentic(job.workspace_id, job.mode, report.import_id, row.said)
            for row in page
            if not isinstance(row.said, Refused)
        ]
        answers = iter(_rehearse(recorder, claims) if job.dry_run else _record(recorder, claims))
        report.add([_told(row, row.said if isinstance(row.said, Refused) else next(answers), job) for row in page])
        seen()
    while not job.dry_run and recorder.work_off(job.mode):
        pass
    report.end()


def _rehearse(recorder: Recorder, claims: Sequence[Authentic]) -> Sequence[Answer]:
    return recorder.validate(claims) if claims else ()


def _record(recorder: Recorder, claims: Sequence[Authentic]) -> Iterator[Answer]:
    waiting = list(claims)
    for attempt in range(_TRIES):
        answers = recorder.commit([[claim] for claim in waiting]) if waiting else []
        # The store could not be written: a busy server, perhaps. What was recorded is a repeat then.
        if not any(isinstance(answer, StoreError) for answer in answers):
            time.sleep(PAUSE_S)
            return iter([_ISSUE if isinstance(answer, Exception) else answer[0] for answer in answers])
        time.sleep(2**attempt / 4)
    raise StoreError("it could not be written")


def _told(row: EventRow, answer: Answer, job: Job) -> dict[str, Any]:
    """What became of a row. Nothing of a refused row is told back but its place."""
    told: dict[str, Any] = {"row": row.number, "line": row.line}
    if isinstance(answer, Refused):
        errors = [error.as_wire() for error in answer.errors]
        return {**told, "http_status": answer.status, "code": answer.code, "errors": errors, "counts_as": ["refused"]}
    verdict, settled = answer.verdict, answer.settlement
    status = "valid" if job.dry_run else "recorded"
    counts_as = ["repeated" if answer.duplicate else status, verdict.status]
    if answer.differences:
        counts_as.append("different")
    return {
        **told,
        "http_status": 200 if answer.duplicate or job.dry_run else 201,
        "event_id": answer.outcome.event_id,
        "status": status,
        "duplicate": answer.duplicate,
        "differences": list(answer.differences),
        "attribution": {"status": verdict.status, "reason": verdict.reason or None, "link_id": verdict.link_id or None},
        "settlement": None if settled is None else settled.status,
        "counts_as": counts_as,
    }
