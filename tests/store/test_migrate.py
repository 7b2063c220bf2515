"""Migrations: in order, once each, whole or not at all, and tables that refuse to be rewritten."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nimriz.base.clock import DAY_MS
from nimriz.base.ids import new_id, to_text
from nimriz.store import migrate as module
from nimriz.store.db import StoreError, Tx
from nimriz.store.migrate import MigrationRefused, files, migrate, pending
from nimriz.store.sqlite import Sqlite

NOW_MS = 1_790_000_000_000
ONE = (1, "one", "-- A comment; with a semicolon.\ncreate table one (seq @sequence, a text);\n@append_only one;")
TWO = (2, "two", "alter table one add column b text;\ncreate table two (id integer primary key);")
BROKEN = (3, "broken", "create table three (id integer primary key); insert into two (id) values (1); insert into no;")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Sqlite]:
    """An empty database."""
    empty = Sqlite(tmp_path / "records.db")
    yield empty
    empty.close()


class Release:
    """The migrations that this version of the program carries."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def carries(self, *found: tuple[int, str, str]) -> None:
        """Carry these from now on."""
        self._monkeypatch.setattr(module, "files", lambda schema: list(found))


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch) -> Release:
    """A program whose migrations a test chooses."""
    return Release(monkeypatch)


def tables(tx: Tx) -> set[str]:
    """What tables there are."""
    return {row[0] for row in tx.all("select name from sqlite_schema where type = 'table'")}


def applied(tx: Tx) -> list[tuple[int, str, int]]:
    """What the database remembers of its migrations."""
    return [(row[0], row[1], row[2]) for row in tx.all("select number, name, applied_at_ms from migrations")]


def test_migrations_run_in_order_and_once_each(database: Sqlite, release: Release) -> None:
    release.carries(ONE)
    assert migrate(database, "records", NOW_MS) == 1
    release.carries(ONE, TWO)  # TWO needs what ONE has made.
    assert migrate(database, "records", NOW_MS + 1) == 1
    assert migrate(database, "records", NOW_MS + 2) == 0
    assert database.read(applied) == [(1, "one", NOW_MS), (2, "two", NOW_MS + 1)]
    assert database.read(tables) >= {"one", "two"}


@pytest.mark.parametrize("schema", ["records", "clicks"])
def test_the_real_files_are_numbered_without_a_gap_and_apply_to_an_empty_database(
    database: Sqlite, schema: str
) -> None:
    found = files(schema)
    assert [number for number, _, _ in found] == list(range(1, len(found) + 1))
    assert migrate(database, schema, NOW_MS) == len(found)
    assert migrate(database, schema, NOW_MS) == 0
    assert database.read(lambda tx: pending(tx, schema)) == 0


def test_an_edited_file_is_refused(database: Sqlite, release: Release) -> None:
    release.carries(ONE)
    migrate(database, "records", NOW_MS)
    release.carries((1, "one", ONE[2] + "\n-- A word more."), TWO)
    with pytest.raises(MigrationRefused, match="0001_one"):
        migrate(database, "records", NOW_MS)
    with pytest.raises(MigrationRefused, match="0001"):
        database.read(lambda tx: pending(tx, "records"))
    assert "two" not in database.read(tables)


def test_a_database_of_a_newer_version_is_refused(database: Sqlite, release: Release) -> None:
    release.carries(ONE, TWO)
    migrate(database, "records", NOW_MS)
    release.carries(ONE)
    with pytest.raises(MigrationRefused, match="newer version"):
        migrate(database, "records", NOW_MS)
    with pytest.raises(MigrationRefused, match="0002"):
        database.read(lambda tx: pending(tx, "records"))


def test_a_migration_that_fails_in_the_middle_leaves_no_trace_of_itself(database: Sqlite, release: Release) -> None:
    release.carries(ONE, TWO, BROKEN)
    with pytest.raises(StoreError):
        migrate(database, "records", NOW_MS)
    assert [row[0] for row in database.read(applied)] == [1, 2]
    assert "three" not in database.read(tables)
    assert database.read(lambda tx: tx.all("select id from two")) == []
    release.carries(ONE, TWO, (3, "mended", "create table three (id integer primary key)"))
    assert migrate(database, "records", NOW_MS) == 1
    assert "three" in database.read(tables)


def test_pending_counts_what_would_run_and_changes_nothing(database: Sqlite, release: Release) -> None:
    release.carries(ONE)
    migrate(database, "records", NOW_MS)
    release.carries(ONE, TWO, BROKEN)
    assert database.read(lambda tx: pending(tx, "records")) == 2
    assert database.read(lambda tx: pending(tx, "records")) == 2
    assert "two" not in database.read(tables)


GUARDED = """
create table facts (seq @sequence, mode text not null, event_id text not null, body text not null);
create unique index facts_by_event on facts (mode, event_id);
@append_only facts (mode, event_id);
create table persons (seq @sequence, body text not null);
@no_update persons;
"""
REWRITING = [
    "update facts set body = 'other'",
    "update facts set seq = 7 where seq = 1",
    "update facts set body = body",
    "delete from facts",
    "delete from facts where seq = 1",
    "insert or replace into facts (seq, mode, event_id, body) values (1, 'live', 'f', 'other')",
    "insert or replace into facts (mode, event_id, body) values ('live', 'e', 'other')",
    "replace into facts (mode, event_id, body) values ('live', 'e', 'other')",
    "insert into facts (mode, event_id, body) values ('live', 'e', 'o') on conflict (mode, event_id) "
    "do update set body = excluded.body",
    "update persons set body = 'other'",
    "replace into persons (seq, body) values (1, 'other')",
]


@pytest.fixture
def guarded(database: Sqlite, release: Release) -> Sqlite:
    """Two guarded tables with a row each."""
    release.carries((1, "guarded", GUARDED))
    migrate(database, "records", NOW_MS)
    database.write(lambda tx: tx.run("insert into facts (mode, event_id, body) values ('live', 'e', 'as it was')"))
    database.write(lambda tx: tx.run("insert into persons (body) values ('as it was')"))
    return database


@pytest.mark.parametrize("statement", REWRITING)
@pytest.mark.parametrize("recursive", ["on", "off"])
def test_a_guarded_table_refuses_every_way_of_rewriting(guarded: Sqlite, statement: str, recursive: str) -> None:
    def rewrite(tx: Tx) -> None:
        tx.run(statement)

    guarded.read(lambda tx: tx.all("select 1"))
    # The guard must not depend on a pragma that another connection may have left off.
    writer = guarded._writer
    assert writer is not None
    writer.execute(f"pragma recursive_triggers = {recursive}").fetchall()
    with pytest.raises(StoreError, match="ConstraintError"):
        guarded.write(rewrite)
    for table in ("facts", "persons"):
        query = f"select seq, body from {table}"
        assert guarded.read(lambda tx, sql=query: tx.all(sql)) == [(1, "as it was")]  # type: ignore[misc]


def test_a_guarded_table_takes_new_rows_and_one_without_the_delete_guard_lets_go(guarded: Sqlite) -> None:
    more = [{"mode": "live", "event_id": f"e{n}", "body": "new"} for n in range(20)]
    guarded.write(lambda tx: tx.many("insert into facts (mode, event_id, body) values (:mode, :event_id, :body)", more))
    guarded.write(lambda tx: tx.run("delete from persons"))
    assert guarded.read(lambda tx: tx.one("select count(*), max(seq) from facts")) == (21, 21)
    assert guarded.read(lambda tx: tx.all("select body from persons")) == []


@pytest.mark.parametrize(
    "statement",
    [
        "update clicks set body = 'other'",
        "delete from clicks",
        "replace into clicks (seq, body) values (1, 'other')",
        "insert into clicks (seq, body) values (1, 'other') on conflict (seq) do update set body = excluded.body",
    ],
)
def test_a_table_whose_inserts_cost_nothing_more_refuses_every_change_on_our_connections(
    database: Sqlite, release: Release, statement: str
) -> None:
    release.carries((1, "clicks", "create table clicks (seq @sequence, body text not null); @no_change clicks;"))
    migrate(database, "clicks", NOW_MS)
    database.write(lambda tx: tx.run("insert into clicks (body) values ('as it was')"))
    with pytest.raises(StoreError, match="ConstraintError"):
        database.write(lambda tx: tx.run(statement))
    assert database.read(lambda tx: tx.all("select seq, body from clicks")) == [(1, "as it was")]


@pytest.mark.parametrize(
    ("unless", "goes"),
    [
        ("old.age > 30", True),
        ("old.age > 31", False),
        ("old.unknown > 30", False),
        ("old.age < 9 or old.age > 30", True),
    ],
)
@pytest.mark.parametrize("guard", ["", "@no_change clicks;"])
def test_only_rows_for_which_the_condition_is_true_can_be_deleted(
    database: Sqlite, release: Release, guard: str, unless: str, goes: bool
) -> None:
    release.carries(
        (1, "one", f"create table clicks (seq @sequence, age integer not null, unknown integer);\n{guard}"),
        (2, "two", f"@no_delete clicks unless {unless};"),
    )
    migrate(database, "clicks", NOW_MS)
    database.write(lambda tx: tx.run("insert into clicks (age) values (31)"))
    if goes:
        database.write(lambda tx: tx.run("delete from clicks"))
    else:
        with pytest.raises(StoreError, match="ConstraintError"):
            database.write(lambda tx: tx.run("delete from clicks"))
    assert len(database.read(lambda tx: tx.all("select seq from clicks"))) == int(not goes)


def test_crawlers_of_a_click_log_of_the_first_version_become_judged_bots(
    database: Sqlite, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = files("clicks")
    row = ", ".join(["'x'"] * 3)
    with monkeypatch.context() as patch:
        patch.setattr(module, "files", lambda schema: found[:1])
        migrate(database, "clicks", NOW_MS)
    for number, crawler in enumerate((0, 1, 1)):
        database.write(
            lambda tx, n=number, c=crawler: tx.run(  # type: ignore[misc]
                "insert into clicks (click_id, workspace_id, link_id, domain_id, clicked_at_ms, decision, tracked, "
                "token_suppressed, crawler, destination_host, touch_type, placement, referrer_host, utm_source, "
                f"utm_medium, utm_campaign, utm_term, utm_content) values (:id, {row}, {NOW_MS} + :n, 0, 1, '', "
                ":c, '', '', '', '', '', '', '', '', '')",
                {"n": n, "c": c, "id": new_id(1)},
            )
        )
    assert migrate(database, "clicks", NOW_MS) == len(found) - 1
    judged = database.read(
        lambda tx: tx.all("select click_seq, judged_at_ms, quality, reason from click_judgments order by seq")
    )
    assert judged == [(2, NOW_MS + 1, "bot", "declared_crawler"), (3, NOW_MS + 2, "bot", "declared_crawler")]
    assert database.read(lambda tx: tx.all("select distinct visitor, tags, country from clicks")) == [(None, "[]", "")]


def test_clicks_of_before_tell_what_they_told_and_share_what_they_have_in_common(
    database: Sqlite, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = files("clicks")
    with monkeypatch.context() as patch:
        patch.setattr(module, "files", lambda schema: found[:4])
        migrate(database, "clicks", NOW_MS)
    names = [row[1] for row in database.read(lambda tx: tx.all("pragma table_info(clicks)")) if row[1] != "click_id"]
    facts = dict.fromkeys(names, "x") | {"decision": 0, "tracked": 1, "crawler": 0, "tags": "[]", "agent_id": None}
    ids = [new_id(NOW_MS + n) for n in range(6)]
    for seq, click_id in enumerate(ids, 1):
        at_ms = NOW_MS + seq * 10 * 3_600_000
        told = facts | {"seq": seq, "clicked_at_ms": at_ms, "visitor": b"12345678", "workspace_id": f"w{seq % 2}"}
        database.write(
            lambda tx, told=told, click_id=click_id: tx.run(  # type: ignore[misc]
                f"insert into clicks (click_id, {', '.join(told)}) "
                f"values (:click_id, {', '.join(f':{name}' for name in told)})",
                {**told, "click_id": click_id},
            )
        )
    before = database.read(lambda tx: tx.all(f"select {', '.join(names)} from clicks order by seq"))
    migrate(database, "clicks", NOW_MS)
    assert database.read(lambda tx: tx.all(f"select {', '.join(names)} from clicks order by seq")) == before
    kept = database.read(lambda tx: tx.all("select click_id from click_rows order by seq"))
    assert [to_text(row[0]) for row in kept] == ids
    # Ten hours apart, of two workspaces by turns: each has one context for each of its days.
    days = {(row[names.index("workspace_id")], row[names.index("clicked_at_ms")] // DAY_MS) for row in before}
    assert database.read(lambda tx: tx.all("select count(*) from click_contexts")) == [(len(days),)]
