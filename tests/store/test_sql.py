"""Wider statements: many rows in one insert, many keys in one query, and nothing different in what they do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nimriz.store.db import Params, Scalar, StoreError, Tx
from nimriz.store.sql import WIDTHS, for_keys, for_rows, in_widths, padded, values_names
from nimriz.store.sqlite import Sqlite

INSERT = "insert into {table} (id, body, tag) values (:id, :body, :tag)"
TAILS = {
    "plain": "",
    "nothing": " on conflict (id) do nothing",
    "update": " on conflict (id) do update set body = excluded.body, tag = {table}.tag + excluded.tag",
}
KEYED = "select id, body from wide where id in (:keys)"
counts = st.integers(0, 700)
bodies = st.lists(st.one_of(st.text(max_size=20), st.binary(max_size=20), st.none(), st.integers(-5, 5)), min_size=1)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sqlite]:
    """Two tables: one for the wide statement, one for single ones."""
    opened = Sqlite(tmp_path_factory.mktemp("sql") / "records.db")
    for table in ("wide", "single"):
        opened.write(
            lambda tx, t=table: tx.run(f"create table {t} (id integer primary key, body blob, tag integer not null)")  # type: ignore[misc]
        )
    yield opened
    opened.close()


def rows_of(ids: Sequence[int], values: Sequence[Scalar]) -> list[dict[str, Scalar]]:
    """Rows with these ids and whatever values."""
    return [{"id": id_, "body": values[n % len(values)], "tag": n % 3} for n, id_ in enumerate(ids)]


def empty(tx: Tx) -> None:
    """Begin anew."""
    tx.run("delete from wide")
    tx.run("delete from single")


def both(database: Sqlite, tail: str, rows: list[dict[str, Scalar]], *, as_values: bool) -> tuple[object, object]:
    """What stands in the tables after the same rows went into one at once and into the other one by one."""

    def insert(tx: Tx) -> tuple[object, object]:
        empty(tx)
        given: list[Params | Sequence[Scalar]] = [list(row.values()) if as_values else row for row in rows]
        tx.many((INSERT + tail).format(table="wide"), given)
        for row in rows:
            tx.run((INSERT + tail).format(table="single"), row)
        return tx.all("select * from wide order by id"), tx.all("select * from single order by id")

    return database.write(insert)


@settings(max_examples=30)
@given(count=counts, values=bodies, as_values=st.booleans())
def test_many_rows_at_once_equal_as_many_single_inserts(
    database: Sqlite, count: int, values: list[Scalar], as_values: bool
) -> None:
    wide, single = both(database, TAILS["plain"], rows_of(range(count), values), as_values=as_values)
    assert wide == single
    assert isinstance(wide, list)
    assert len(wide) == count


@pytest.mark.parametrize("tail", ["nothing", "update"])
@settings(max_examples=20)
@given(ids=st.lists(st.integers(0, 150), max_size=400), values=bodies)
def test_many_rows_that_meet_each_other_keep_the_statements_tail(
    database: Sqlite, tail: str, ids: list[int], values: list[Scalar]
) -> None:
    wide, single = both(database, TAILS[tail], rows_of(ids, values), as_values=False)
    assert wide == single


def test_many_rows_that_meet_each_other_without_a_tail_are_refused_and_none_is_kept(database: Sqlite) -> None:
    database.write(empty)
    with pytest.raises(StoreError, match="ConstraintError"):
        both(database, TAILS["plain"], rows_of([*range(300), 5], ["x"]), as_values=False)
    assert database.read(lambda tx: tx.all("select * from wide")) == []


def test_a_statement_that_inserts_nothing_runs_once_for_each_row(database: Sqlite) -> None:
    both(database, "", rows_of(range(20), ["old"]), as_values=False)
    update = "update wide set body = :body where id = :id"
    database.write(lambda tx: tx.many(update, [{"body": f"new {n}", "id": n} for n in range(10)]))
    found = database.read(lambda tx: tx.all("select body from wide order by id"))
    assert [row[0] for row in found] == [f"new {n}" for n in range(10)] + ["old"] * 10


@settings(max_examples=40)
@given(count=counts, step=st.integers(1, 3), tag=st.integers(0, 2))
def test_a_question_about_many_keys_finds_exactly_their_rows(database: Sqlite, count: int, step: int, tag: int) -> None:
    keys = [key * step for key in range(count)]

    def ask(tx: Tx) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
        empty(tx)
        tx.many(INSERT.format(table="wide"), rows_of(range(0, 1_000, 2), ["x", "y"]))
        return tx.each(KEYED, keys), tx.each(KEYED + " and tag = :tag", keys, {"tag": tag})

    found, tagged = database.write(ask)
    there = [(key, "xy"[key // 2 % 2]) for key in keys if key % 2 == 0 and key < 1_000]
    assert sorted(found) == there
    assert sorted(tagged) == [(key, body) for key, body in there if key // 2 % 3 == tag]


def test_a_key_that_stands_twice_in_a_question_counts_once(database: Sqlite) -> None:
    both(database, "", rows_of(range(10), ["x"]), as_values=False)
    assert sorted(database.read(lambda tx: tx.each(KEYED, [3, 5, 3, 3, 9, 5]))) == [(3, "x"), (5, "x"), (9, "x")]


def test_a_key_that_stands_twice_far_apart_counts_once(database: Sqlite) -> None:
    both(database, "", rows_of(range(10), ["x"]), as_values=False)
    keys = [3, *range(100, 400), 3]
    assert database.read(lambda tx: tx.each(KEYED, keys)) == [(3, "x")]


@given(count=st.integers(0, 2_000), columns=st.integers(1, 200))
def test_slices_have_few_widths_lose_nothing_and_fit_into_one_statement(count: int, columns: int) -> None:
    slices = list(in_widths(range(count), columns))
    assert [item for some in slices for item in some] == list(range(count))
    assert all(len(some) in WIDTHS for some in slices)
    one = f"insert into t ({'c, ' * (columns - 1)}c) values ({', '.join(f':c{n}' for n in range(columns))})"
    # apsw keeps no statement prepared whose text is longer.
    assert all(len(for_rows(one, len(some))) <= 16_384 for some in slices)


@given(count=st.integers(1, WIDTHS[0]))
def test_keys_are_padded_with_the_last_one_to_the_next_width(count: int) -> None:
    keys = padded(range(count))
    assert list(keys) == list(range(count)) + [count - 1] * (len(keys) - count)
    assert len(keys) == min(width for width in WIDTHS if width >= count)


@given(count=st.integers(1, 64), columns=st.integers(1, 30))
def test_a_wider_insert_changes_nothing_but_its_values(count: int, columns: int) -> None:
    names = [f"c{n}" for n in range(columns)]
    sql = f"insert into t ({', '.join(names)}) values ({', '.join(':' + n for n in names)}) on conflict (c0) do nothing"
    wide = for_rows(sql, count)
    assert values_names(sql) == tuple(names)
    head, _, tail = sql.partition(f"values ({', '.join(':' + n for n in names)})")
    one = "(" + ", ".join("?" * columns) + ")"
    assert wide == head + "values " + ", ".join([one] * count) + tail


def test_a_question_about_many_keys_must_say_where_they_stand() -> None:
    assert for_keys("select 1 where id in (:keys)", 2) == "select 1 where id in (:k0, :k1)"
    with pytest.raises(ValueError, match="in \\(:keys\\)"):
        for_keys("select 1 where id = :keys", 2)
