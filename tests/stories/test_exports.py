"""Exports over HTTP: asked for, made by the process beside, fetched whole or in parts."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import tempfile
import time
import zipfile
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from nimriz.core.exports import exports
from tests.patience import PATIENCE_S
from tests.world import Body, Served, Workspace, create_workspace, follow_on, lead, sale, serving

ANN = "ann@shop.example"
FORMULAS = ["=1+1", "+1", "-1", "@sum", "\tx", "'=1", "''x", "plain", "1-2", "＝1"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("exports")
    with serving(folder / "data", analytics_wait_ms_max="20000", export_folder=str(folder / "handed")) as running:
        yield running


def finished(world: Workspace, asked: Body) -> Body:
    """Ask for an export, and wait until it has come to its end."""
    response = world.call("POST", "/api/v1/exports", asked)
    assert response.status_code == 202, response.text
    export: Body = response.json()["export"]
    ends_s = time.monotonic() + PATIENCE_S
    while export["status"] in ("queued", "running"):
        assert time.monotonic() < ends_s, export
        time.sleep(0.1)
        export = world.get(f"/api/v1/exports/{export['id']}").json()["export"]
    return export


def fetched(world: Workspace, asked: Body) -> tuple[Body, bytes]:
    """A finished export and its file, which is what the manifest says."""
    export = finished(world, asked)
    assert export["status"] == "finished", export
    response = world.get(f"/api/v1/exports/{export['id']}/download")
    assert response.status_code == 200, response.text
    (file,) = export["files"]
    assert (file["bytes"], file["sha256"]) == (len(response.content), hashlib.sha256(response.content).hexdigest())
    assert export["rows"] == export["rows_done"] == export["rows_total"] == file["rows"]
    return export, response.content


def lines(world: Workspace, **asked: Any) -> list[Body]:
    """The rows of an export as NDJSON."""
    export, content = fetched(world, {"format": "ndjson", **asked})
    rows = [json.loads(line) for line in content.splitlines()]
    assert len(rows) == export["rows"]
    assert all(list(row) == export["columns"] for row in rows)
    return rows


def tables(world: Workspace, **asked: Any) -> dict[str, list[list[Any]]]:
    """The same rows in every format, as texts."""
    found: dict[str, list[list[Any]]] = {}
    for format_ in ("csv", "ndjson", "parquet", "xlsx"):
        export, content = fetched(world, {"format": format_, **asked})
        found[format_] = READERS[format_](content)
        assert len(found[format_]) == export["rows"]
    return found


def _csv(content: bytes) -> list[list[Any]]:
    return [[cell or None for cell in row] for row in list(csv.reader(io.StringIO(content.decode())))[1:]]


def _ndjson(content: bytes) -> list[list[Any]]:
    return [list(json.loads(line).values()) for line in content.splitlines()]


def _parquet(content: bytes) -> list[list[Any]]:
    with tempfile.NamedTemporaryFile(suffix=".parquet") as file, duckdb.connect() as connection:
        file.write(content)
        file.flush()
        return [list(row) for row in connection.execute(f"select * from read_parquet('{file.name}')").fetchall()]


def _xlsx(content: bytes) -> list[list[Any]]:
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
    assert "<f>" not in sheet
    assert "hyperlink" not in sheet
    return [[row] for row in sheet.split("<row ")[2:]]


READERS = {"csv": _csv, "ndjson": _ndjson, "parquet": _parquet, "xlsx": _xlsx}


def test_every_format_holds_the_same_rows(world: Workspace) -> None:
    link = world.link(title="=cmd|' /C calc'!A0", tags=["spring"])
    for number in range(3):
        token = world.click(link["short_code"])
        assert world.post(sale(f"s{number}", "10.50", click_id=token)).status_code == 201
    for subject in ("clicks", "conversions", "links"):
        found = tables(world, subject=subject)
        assert len({len(rows) for rows in found.values()}) == 1
        assert len(found["ndjson"]) == (1 if subject == "links" else 3)
        ids = {format_: {str(row[0]) for row in found[format_]} for format_ in ("csv", "ndjson", "parquet")}
        assert ids["csv"] == ids["ndjson"] == ids["parquet"]
    report = tables(world, subject="report", question={"by": "link", "then_by": "day"})
    assert [row[0] for row in report["csv"]] == ["row", "total", "unattributed"]


def test_formulas_are_disarmed_in_csv_and_are_texts_elsewhere(world: Workspace) -> None:
    titles = {world.link(title=title)["id"]: title for title in FORMULAS}
    _, content = fetched(world, {"subject": "links", "format": "csv"})
    told = {row["link_id"]: row["title"] for row in csv.DictReader(io.StringIO(content.decode()))}
    for link_id, title in titles.items():
        assert told[link_id] == ("'" + title if title.lstrip("'")[0] in "=+-@\t＝" else title)
    exact = {row["link_id"]: row["title"] for row in lines(world, subject="links")}
    assert exact == titles


def test_amounts_are_told_as_decimals_and_in_minor_units_with_what_was_taken_back(world: Workspace) -> None:
    token = world.click(world.link()["short_code"])
    world.post(sale("s", "100.00", click_id=token, order_id="-o"))
    world.post(follow_on("refund", "r", "130.00", related_event_id="s"))
    found = {row["event_id"]: row for row in lines(world, subject="conversions")}
    sold, refund = found["s"], found["r"]
    assert (sold["value"], sold["value_minor"], sold["taken_back"], sold["net"]) == ("100.00", 10000, "100.00", "0.00")
    assert (refund["applied"], refund["excess_minor"], refund["settlement_status"]) == ("100.00", 3000, "excess")
    assert (sold["status"], sold["method"], sold["click_touch_type"]) == ("attributed", "click_id", "short_link_click")
    _, content = fetched(world, {"subject": "conversions", "format": "csv"})
    rows = {row["event_id"]: row for row in csv.DictReader(io.StringIO(content.decode()))}
    assert (rows["s"]["order_id"], rows["s"]["net_minor"], rows["r"]["taken_back"]) == ("'-o", "0", "")


def test_a_cursor_misses_nothing_that_came_late_or_stands_otherwise(world: Workspace) -> None:
    link = world.link()
    token = world.click(link["short_code"])
    world.post(follow_on("refund", "refund", "5.00", related_event_id="sale"))
    world.post(lead("old", click_id=token))
    first, _ = fetched(world, {"subject": "conversions"})
    assert first["rows"] == 2
    # An event of years ago comes now, and with it the refund that was pending stands otherwise.
    world.post(sale("sale", "10.00", click_id=token, event_time="2001-01-01T00:00:00Z"))
    more = lines(world, subject="conversions", after=first["next_after"])
    assert {row["event_id"]: row["status"] for row in more} == {"refund": "unattributed", "sale": "unattributed"}
    clicks, _ = fetched(world, {"subject": "clicks"})
    world.click(link["short_code"])
    assert (clicks["rows"], len(lines(world, subject="clicks", after=clicks["next_after"]))) == (1, 1)
    links, _ = fetched(world, {"subject": "links"})
    other = world.link()
    world.call("POST", "/api/delete-link", {"url_id": link["id"]})
    changed = {row["link_id"]: row["status"] for row in lines(world, subject="links", after=links["next_after"])}
    assert changed == {other["id"]: "active", link["id"]: "deleted"}
    for wrong in ("x", clicks["next_after"]):
        refused = world.call("POST", "/api/v1/exports", {"subject": "links", "after": wrong})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "after")


def test_what_names_a_person_takes_a_scope_of_its_own_and_goes_with_the_person(world: Workspace) -> None:
    world.post(sale("s", external_id=ANN, metadata={"note": "=hers"}))
    assert "external_id" not in lines(world, subject="conversions")[0]
    export, content = fetched(world, {"subject": "conversions", "format": "ndjson", "include_customer_data": True})
    row = json.loads(content)
    assert (row["external_id"], row["metadata"]) == (ANN, {"note": "=hers"})
    made = world.served.run("key", "create", world.workspace_id, "--scope", "exports", "--json")
    narrow = {"Authorization": f"Bearer {json.loads(made.stdout)['api_key']}"}
    for method, path, body in (
        ("POST", "/api/v1/exports", {"subject": "conversions", "include_customer_data": True}),
        ("GET", f"/api/v1/exports/{export['id']}/download", None),
    ):
        refused = world.client.request(method, path, json=body, headers=narrow)
        assert (refused.status_code, refused.json()["scope"]) == (403, "conversions:read")
    plain = finished(world, {"subject": "conversions"})
    assert world.client.get(f"/api/v1/exports/{plain['id']}/download", headers=narrow).status_code == 200

    assert world.call("POST", "/api/v1/erasures", {"external_id": ANN}).status_code == 201
    assert not (world.served.data_dir / exports.FOLDER / export["id"]).exists()
    assert world.get(f"/api/v1/exports/{export['id']}").json()["export"]["status"] == "erased"
    gone = world.get(f"/api/v1/exports/{export['id']}/download")
    assert (gone.status_code, gone.json()["code"]) == (409, "export_not_ready")
    assert world.get(f"/api/v1/exports/{plain['id']}/download").status_code == 200


def test_a_file_is_fetched_in_parts_and_not_again_when_it_is_known(world: Workspace) -> None:
    world.link()
    export, content = fetched(world, {"subject": "links"})
    path, key = f"/api/v1/exports/{export['id']}/download", {"Authorization": f"Bearer {world.api_key}"}
    part = world.client.get(path, headers={**key, "Range": "bytes=5-"})
    assert (part.status_code, part.content) == (206, content[5:])
    etag = part.headers["etag"]
    assert world.client.get(path, headers={**key, "If-None-Match": etag}).status_code == 304
    assert "attachment" in part.headers["content-disposition"]


def test_exports_are_listed_cancelled_and_nobody_elses(world: Workspace) -> None:
    first, second = (finished(world, {"subject": "links"}) for _ in range(2))
    page = world.get("/api/v1/exports", limit=1).json()
    assert ([export["id"] for export in page["exports"]], page["next_cursor"]) == ([second["id"]], second["id"])
    assert world.get("/api/v1/exports", cursor=second["id"]).json()["exports"] == [first]
    cancelled = world.call("DELETE", f"/api/v1/exports/{first['id']}", {}).json()["export"]
    assert (cancelled["status"], cancelled["expires_at"]) == ("cancelled", None)
    assert world.get(f"/api/v1/exports/{first['id']}/download").status_code == 409
    other = create_workspace(world.served, "Another shop")
    assert other.get(f"/api/v1/exports/{second['id']}").json()["code"] == "export_not_found"
    assert other.get("/api/v1/exports").json()["exports"] == []
    other.client.close()


def test_a_closed_surface_keeps_exports_closed(world: Workspace) -> None:
    export = finished(world, {"subject": "links"})
    world.served.run("workspace", "plan", world.workspace_id, "growth")
    for method, path in (
        ("POST", "/api/v1/exports"), ("GET", "/api/v1/exports"), ("GET", f"/api/v1/exports/{export['id']}/download"),
    ):  # fmt: skip
        refused = world.client.request(
            method, path, json={"subject": "links"} if method == "POST" else None,
            headers={"Authorization": f"Bearer {world.api_key}"},
        )  # fmt: skip
        assert (refused.status_code, refused.json()["surface"]) == (403, "exports")


@pytest.mark.parametrize(
    "wrong",
    [
        {"subject": "people"}, {"subject": "links", "format": "pdf"}, {"subject": "clicks", "from": "yesterday"},
        {"subject": "report", "question": {"by": "nothing"}}, {"subject": "report", "question": {"limit": 5}},
        {"subject": "links", "question": {"by": "link"}}, {"subject": "report", "after": "x"},
        {"subject": "clicks", "link_id": "' or 1=1"}, {"subject": "report", "question": {"by": ["link", "day"]}},
    ],
)  # fmt: skip
def test_what_cannot_be_exported_is_refused_at_once(world: Workspace, wrong: Body) -> None:
    assert world.call("POST", "/api/v1/exports", wrong).status_code == 422


def shared(world: Workspace, **asked: Any) -> tuple[str, str]:
    """A saved report and a share of it: the path of its link, and where it is revoked."""
    saved = world.call(
        "POST", "/api/v1/saved-reports", {"name": "<b>By day</b>", "question": {"by": "day"}}
    ).json()["saved_report"]  # fmt: skip
    made = world.call("POST", f"/api/v1/saved-reports/{saved['id']}/shares", asked)
    assert made.status_code == 201, made.text
    share = made.json()["share"]
    path = f"/api/v1/saved-reports/{saved['id']}/shares"
    listed = world.get(path).json()["shares"]
    assert listed == [{name: value for name, value in share.items() if name != "url"}]
    return share["url"].removeprefix(world.served.url), f"{path}/{share['id']}"


def test_whoever_has_the_link_reads_one_report_until_it_is_taken_back(world: Workspace) -> None:
    token = world.click(world.link()["short_code"])
    world.post(sale("s", "1234.50", click_id=token))
    url, revoke = shared(world)
    page = world.client.get(url)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "script" not in page.headers["content-security-policy"]
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "&lt;b&gt;By day&lt;/b&gt;" in page.text
    assert "<b>" not in page.text
    assert "1234.50" in page.text
    told = world.client.get(url, headers={"Accept": "application/json"}).json()
    report = world.get("/api/v1/analytics/conversions", by="day").json()
    assert (told["name"], told["rows"], told["totals"]) == ("<b>By day</b>", report["rows"], report["totals"])
    assert world.client.get(url + "x").status_code == 404
    assert world.client.get(f"{url}?by=link", headers={"Accept": "application/json"}).json()["by"] == "day"
    assert world.call("DELETE", revoke, {}).json() == {"revoked": True}
    assert world.client.get(url).status_code == 404
    assert world.call("DELETE", revoke, {}).json()["code"] == "saved_report_not_found"
    assert url.rpartition("_")[2] not in world.served.log_path.read_text()


def test_a_share_asks_for_its_password_and_bounds_guessing(world: Workspace) -> None:
    url, _ = shared(world, password="only for you")
    asked = world.client.get(url)
    assert (asked.status_code, "password" in asked.text, "<table" in asked.text) == (200, True, False)
    assert world.client.get(url, headers={"Accept": "application/json"}).status_code == 401
    assert world.client.post(url, data={"password": "wrong"}).status_code == 403
    assert "<table" in world.client.post(url, data={"password": "only for you"}).text
    statuses = [world.client.post(url, data={"password": "wrong"}).status_code for _ in range(15)]
    assert statuses[-1] == 429


def test_a_share_ends_by_itself_and_with_its_report_and_its_surface(world: Workspace) -> None:
    refused = world.call("POST", "/api/v1/saved-reports", {"name": "x", "question": {"by": "nothing"}})
    assert refused.status_code == 422
    url, path = shared(world)
    report = path.partition("/shares")[0]
    past = world.call("POST", f"{report}/shares", {"expires_at": "2020-01-01T00:00:00Z"})
    assert past.status_code == 422
    assert world.call("POST", f"{report}/shares", {"expires_at": "2100-01-01T00:00:00Z"}).status_code == 201
    other = create_workspace(world.served, "Another shop")
    assert other.get(f"{report}/shares").json()["code"] == "saved_report_not_found"
    other.client.close()
    assert world.client.get(url).status_code == 200
    assert world.call("DELETE", report, {}).json() == {"deleted": True}
    assert world.client.get(url).status_code == 404
    closed, _ = shared(world)
    world.served.run("workspace", "plan", world.workspace_id, "starter")
    assert world.client.get(closed).status_code == 404


def test_a_schedule_is_made_listed_and_stopped(world: Workspace) -> None:
    body = {"every": "week", "subject": "report", "folder": "books", "name": "Weekly", "question": {"by": "day"}}
    made = world.call("POST", "/api/v1/export-schedules", body)
    assert made.status_code == 201, made.text
    schedule = made.json()["schedule"]
    assert (schedule["every"], schedule["last_export_id"], schedule["asked"]) == (
        "week", None, {"question": {"by": "day"}},
    )  # fmt: skip
    assert world.get("/api/v1/export-schedules").json()["schedules"] == [schedule]
    for wrong in (
        {"folder": "../other"}, {"every": "hour"}, {"from": "2026-01-01"}, {"include_customer_data": True},
        {"since_last": True}, {"question": {"from": "2026-01-01"}},
    ):  # fmt: skip
        assert world.call("POST", "/api/v1/export-schedules", {**body, **wrong}).status_code == 422
    path = f"/api/v1/export-schedules/{schedule['id']}"
    assert world.call("DELETE", path, {}).json() == {"deleted": True}
    assert world.call("DELETE", path, {}).json()["code"] == "schedule_not_found"
