"""Every question that a conversion asks is answered through an index made for it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from nimriz.core.ledger import attribution, docket, ledger, persons, settlement
from nimriz.store.migrate import migrate
from nimriz.store.sql import for_keys
from nimriz.store.sqlite import Sqlite

BIG = "outcomes|verdicts|settlements|movements|ties|persons|metadata|idempotency_keys"


def questions() -> Iterator[tuple[str, str]]:
    for module in (attribution, docket, ledger, persons, settlement):
        for name, by_mode in vars(module).items():
            if isinstance(by_mode, Mapping) and str(by_mode.get("live", "")).startswith("select"):
                sql = by_mode["live"]
                yield f"{module.__name__}.{name}", for_keys(sql, 8) if ":keys" in sql else sql


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sqlite]:
    database = Sqlite(tmp_path_factory.mktemp("plans") / "records.db")
    migrate(database, "records", 0)
    yield database
    database.close()


def plan_of(records: Sqlite, sql: str) -> list[str]:
    params = dict.fromkeys(re.findall(r":(\w+)", sql), "1")
    return [row[3] for row in records.read(lambda tx: tx.all(f"explain query plan {sql}", params))]


@pytest.mark.parametrize(("name", "sql"), list(questions()))
def test_no_question_reads_a_whole_table_or_workspace(records: Sqlite, name: str, sql: str) -> None:
    for step in plan_of(records, sql):
        assert not re.search(rf"SCAN (test_)?({BIG})", step), (name, step)
        assert not step.endswith("(workspace_id=?)"), (name, step)


def test_a_scan_would_be_seen(records: Sqlite, tmp_path: Path) -> None:
    assert plan_of(records, "select event_id from outcomes where quantity = :quantity")[0].startswith("SCAN outcomes")
