"""The projector: every click is copied once, wherever a page of it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from nimriz.analytics import sources
from nimriz.base.clock import DAY_MS
from nimriz.store.migrate import migrate
from nimriz.store.sqlite import Sqlite
from tests.clicklogs import append, click, opened
from tests.columnar import projected

NOON_MS = 1_790_078_400_000
UUID = "01900000-0000-7000-8000-0000000000{:02x}"


@pytest.mark.parametrize("page_rows", [1, 2, 3, 5, 7, 100])
def test_a_page_may_begin_in_the_middle_of_a_day_and_end_weeks_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page_rows: int
) -> None:
    monkeypatch.setattr(sources, "PAGE_ROWS", page_rows)
    records, log = Sqlite(tmp_path / "records.db"), opened(tmp_path / "clicks-0.db")
    migrate(records, "records", 0)
    # Two clicks at a time with everything in common, forty days apart: some pages end between them.
    made = [
        one._replace(facts=one.facts._replace(domain_id=UUID.format(3)))
        for n in range(12)
        for one in [click(NOON_MS + n // 2 * 40 * DAY_MS + n, UUID.format(1), UUID.format(2))]
    ]
    for n in range(0, len(made), 2):
        append(log, made[n : n + 2])
    with projected(records, {0: log}) as columnar:
        told = columnar.store.read(lambda rows: rows.all("select seq from clicks order by seq"))
        assert [row[0] for row in told] == list(range(1, 13))
        # What no click names any more is not kept for ever.
        assert columnar.count_of("contexts") <= 2
