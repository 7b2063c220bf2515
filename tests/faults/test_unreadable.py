"""What cannot be read or written is 503: never a 401, 403 or 404, and never a 500."""

from __future__ import annotations

import time
from collections.abc import Iterator

import apsw
import pytest

from tests.patience import PATIENCE_S
from tests.world import HUMAN, Served, Workspace, create_workspace, lead, serving


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("unreadable") / "data", conversion_wait_ms_max="300") as running:
        yield running


def by_hand(served: Served) -> apsw.Connection:
    connection = apsw.Connection(str(served.data_dir / "records.db"))
    connection.set_busy_timeout(60_000)
    return connection


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("signing_secrets", "sealed = x'00'"),
        ("signing_secrets", "sealed = zeroblob(64)"),
        ("workspaces", "plan = 'nonsense'"),
    ],
)
@pytest.mark.parametrize("path", ["", "/batch"])
def test_a_secret_or_plan_that_cannot_be_read_is_503(served: Served, table: str, change: str, path: str) -> None:
    world = create_workspace(served)
    connection = by_hand(served)
    connection.execute(f"update {table} set {change} where workspace_id = ?", (world.workspace_id,)).fetchall()
    connection.close()
    response = world.post({"events": [lead("x")]} if path else lead("x"), path=path)
    world.client.close()
    assert response.status_code == 503, response.text
    assert response.json()["code"] == "store_unavailable"
    assert int(response.headers["retry-after"]) > 0


def test_a_plan_that_cannot_be_read_is_503_for_readers_and_visitors_too(world: Workspace) -> None:
    link = world.link()
    connection = by_hand(world.served)
    connection.execute(
        "update workspaces set plan = 'nonsense' where workspace_id = ?", (world.workspace_id,)
    ).fetchall()
    connection.close()
    for path in ("/api/v1/whoami", "/api/v1/analytics/conversions"):
        response = world.get(path)
        assert response.status_code == 503, (path, response.text)
        assert response.json()["code"] == "store_unavailable"
    response = world.client.get(f"/{link['short_code']}", headers={"User-Agent": HUMAN})
    assert response.status_code == 503, response.text


def test_a_ledger_that_cannot_be_written_is_503_in_time_and_the_repeat_finds_its_event(world: Workspace) -> None:
    code = world.link()["short_code"]
    token = world.click(code)
    connection = by_hand(world.served)
    connection.execute("begin immediate").fetchall()
    try:
        for path, body in (("", lead("stuck", token)), ("/batch", {"events": [lead("stuck", token)]})):
            response = world.post(body, path=path)
            assert response.status_code == 503, response.text
            assert response.json()["code"] == "store_unavailable"
            assert int(response.headers["retry-after"]) > 0
        # What needs no writing goes on, and so does what is refused before it.
        assert world.location(code).startswith("https://shop.example/landing?nim_ct=")
        assert world.post(lead("stuck"), secret="nimsec_live_x").status_code == 401
        assert world.post({"event_id": "x"}).status_code == 422
        assert world.get("/api/v1/links").status_code == 200
    finally:
        connection.execute("rollback").fetchall()
        connection.close()
    ends_s = time.monotonic() + PATIENCE_S
    while (response := world.post(lead("stuck", token))).status_code == 503 and time.monotonic() < ends_s:
        time.sleep(0.2)
    assert response.status_code in (200, 201)
    assert response.json()["attribution"]["status"] == "attributed"
    assert len(world.get("/api/v1/conversions").json()["conversions"]) == 1


def test_a_rehearsal_that_cannot_be_written_is_503_in_time(world: Workspace) -> None:
    connection = by_hand(world.served)
    connection.execute("begin immediate").fetchall()
    try:
        response = world.post(lead("x"), path="?validate_only=true")
        assert response.status_code in (200, 503)
    finally:
        connection.execute("rollback").fetchall()
        connection.close()
