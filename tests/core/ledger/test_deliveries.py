"""Deliveries: bounded by kind and hour, counted beyond, and forgotten in time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nimriz.base import ids
from nimriz.base.clock import DAY_MS
from nimriz.core.ledger import deliveries
from nimriz.core.ledger.deliveries import HOUR_MS, Delivery, Filters, Kind
from nimriz.store.migrate import migrate
from nimriz.store.sqlite import Sqlite

NOW_MS = 1_795_428_000_000
MOST: dict[Kind, int] = {"accepted": 5, "refused": 3, "unsigned": 2}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Sqlite]:
    opened = Sqlite(tmp_path / "deliveries.db")
    migrate(opened, "deliveries", NOW_MS)
    yield opened
    opened.close()


def made(kind: Kind, at_ms: int = NOW_MS, workspace_id: str = "w") -> Delivery:
    reference = ids.timed_reference(at_ms)
    return Delivery(workspace_id, kind, reference, at_ms, 400, 422, "x", "", "", 0, 0, 10, "", "")


def keep(database: Sqlite, *notes: Delivery, left_out: dict[deliveries.Hour, int] | None = None) -> int:
    return database.write(lambda tx: deliveries.keep(tx, notes, left_out or {}, MOST))


def kept(database: Sqlite, workspace_id: str = "w") -> list[Kind]:
    found = database.read(lambda tx: deliveries.page(tx, workspace_id, Filters(), "", 100))
    return [delivery.kind for delivery in found]


def left_out(database: Sqlite, from_ms: int = 0) -> dict[str, int]:
    return database.read(lambda tx: deliveries.left_out(tx, "w", from_ms, NOW_MS + DAY_MS))


def test_each_kind_has_a_bound_of_its_own_for_each_workspace_and_hour(database: Sqlite) -> None:
    assert keep(database, *[made("unsigned") for _ in range(5)], made("refused"), made("accepted")) == 3
    assert keep(database, *[made("refused") for _ in range(3)], made("unsigned")) == 2
    assert sorted(kept(database)) == ["accepted", "refused", "refused", "refused", "unsigned", "unsigned"]
    assert left_out(database) == {"accepted": 0, "refused": 1, "unsigned": 4}
    assert keep(database, made("unsigned", NOW_MS + HOUR_MS), made("unsigned", workspace_id="v")) == 0
    assert kept(database, "v") == ["unsigned"]


def test_what_did_not_even_wait_is_counted_where_it_belongs(database: Sqlite) -> None:
    keep(database, left_out={made("refused").hour: 7})
    assert left_out(database)["refused"] == 7
    assert left_out(database, NOW_MS + HOUR_MS)["refused"] == 0


def test_accepted_ones_are_forgotten_sooner_than_refused_ones(database: Sqlite) -> None:
    old = NOW_MS - 8 * DAY_MS
    keep(database, made("accepted", old), made("refused", old), made("accepted"), made("refused", NOW_MS - 31 * DAY_MS))
    first = {kind: ids.first_reference(NOW_MS - 30 * DAY_MS) for kind in deliveries.KINDS}
    first["accepted"] = ids.first_reference(NOW_MS - 7 * DAY_MS)
    assert database.write(lambda tx: deliveries.forget_some(tx, first, NOW_MS)) == 2
    assert database.write(lambda tx: deliveries.forget_some(tx, first, NOW_MS)) == 0
    assert sorted(kept(database)) == ["accepted", "refused"]


def test_references_sort_by_time() -> None:
    references = [ids.timed_reference(NOW_MS + step) for step in (0, 1, 1_000, DAY_MS)]
    assert references == sorted(references)
    assert ids.first_reference(NOW_MS) < references[0] < ids.first_reference(NOW_MS + 1)
