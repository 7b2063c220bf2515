"""What is recorded stays recorded: the database itself refuses whoever comes by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from tests.world import Served, Workspace, create_workspace, follow_on, sale, serving

LEDGER = ("outcomes", "verdicts", "settlements", "movements", "ties")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A stopped installation with a row in every table of the ledger, live and test."""
    with serving(tmp_path_factory.mktemp("ledger") / "data") as served:
        world = create_workspace(served)
        token = world.click(world.link()["short_code"])
        for secret in (world.signing_secret, world.test_signing_secret):
            _fill(world, token, secret)
        world.client.close()
        served.stop()
        yield served


def _fill(world: Workspace, token: str, secret: str) -> None:
    bought = sale("sale", "100.00", click_id=token, external_id="c", order_id="o", metadata={"a": 1})
    assert world.post(bought, secret=secret).status_code == 201
    assert world.post(follow_on("refund", "refund", "30.00", related_order_id="o"), secret=secret).status_code == 201


def connect(path: Path) -> apsw.Connection:
    """A connection as anybody would open it, without our settings."""
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(60_000)
    return connection


def rows(connection: apsw.Connection, table: str) -> list[tuple[object, ...]]:
    return list(connection.execute(f"select * from {table} order by seq"))


def columns(connection: apsw.Connection, table: str) -> list[str]:
    return [str(row[1]) for row in connection.execute(f"pragma table_info({table})")]


def refused(connection: apsw.Connection, table: str, sql: str) -> None:
    before = rows(connection, table)
    assert before, f"{table} has no row to be changed"
    connection.execute("begin immediate").fetchall()
    try:
        with pytest.raises(apsw.ConstraintError):
            connection.execute(sql).fetchall()
        assert rows(connection, table) == before
    finally:
        connection.execute("rollback").fetchall()


@pytest.mark.parametrize("table", [*LEDGER, *(f"test_{table}" for table in LEDGER), "click_rows"])
def test_no_column_of_a_recorded_row_can_be_changed(written: Served, table: str) -> None:
    connection = connect(written.data_dir / ("clicks-0.db" if table == "click_rows" else "records.db"))
    try:
        for column in columns(connection, table):
            refused(connection, table, f"update {table} set {column} = {column}")
            refused(connection, table, f"update or replace {table} set {column} = 1 where seq = 1")
            refused(connection, table, f"update or ignore {table} set {column} = {column}")
    finally:
        connection.close()


@pytest.mark.parametrize("table", [*LEDGER, "click_rows"])
def test_no_live_row_can_be_removed(written: Served, table: str) -> None:
    connection = connect(written.data_dir / ("clicks-0.db" if table == "click_rows" else "records.db"))
    try:
        refused(connection, table, f"delete from {table}")
        refused(connection, table, f"delete from {table} where seq = 1")
        refused(connection, table, f"with gone as (select 1) delete from {table} where seq in gone")
    finally:
        connection.close()


@pytest.mark.parametrize("table", LEDGER)
@pytest.mark.parametrize("verb", ["insert or replace", "replace"])
@pytest.mark.parametrize("recursive", ["on", "off"])
def test_no_live_row_can_be_replaced(written: Served, table: str, verb: str, recursive: str) -> None:
    connection = connect(written.data_dir / "records.db")
    try:
        connection.execute(f"pragma recursive_triggers = {recursive}").fetchall()
        refused(connection, table, f"{verb} into {table} select * from {table} limit 1")
    finally:
        connection.close()


@pytest.mark.parametrize("recursive", ["on", "off"])
def test_an_outcome_cannot_be_replaced_through_its_event_id(written: Served, recursive: str) -> None:
    connection = connect(written.data_dir / "records.db")
    try:
        connection.execute(f"pragma recursive_triggers = {recursive}").fetchall()
        names = [name for name in columns(connection, "outcomes") if name != "seq"]
        changed = ["1" if name == "value_minor" else name for name in names]
        sql = f"insert or replace into outcomes ({', '.join(names)}) select {', '.join(changed)} from outcomes limit 1"
        refused(connection, "outcomes", sql)
        with pytest.raises(apsw.ConstraintError):
            connection.execute(sql.replace("insert or replace", "insert")).fetchall()
    finally:
        connection.close()


def test_the_test_ledger_can_be_emptied_as_a_whole(written: Served) -> None:
    connection = connect(written.data_dir / "records.db")
    connection.execute("begin immediate").fetchall()
    for table in LEDGER:
        connection.execute(f"delete from test_{table}").fetchall()
        assert rows(connection, f"test_{table}") == []
    connection.execute("rollback").fetchall()
    connection.close()
