"""Deliveries: the support reference of any answer leads to what became of it, and to what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from nimriz.base.ids import new_id
from tests.stories import raw
from tests.world import Workspace, create_workspace, follow_on, lead, sale, serving

MOST = 3


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace on a server that keeps few notes."""
    bounds = {f"{kind}_deliveries_per_hour_max": str(MOST) for kind in ("accepted", "refused", "unsigned")}
    with serving(tmp_path_factory.mktemp("narrow") / "data", **bounds) as served:
        workspace = create_workspace(served)
        yield workspace
        workspace.client.close()


def delivery(world: Workspace, reference: str) -> dict[str, Any]:
    response = world.get(f"/api/v1/deliveries/{reference}")
    assert response.status_code == 200, response.text
    return cast(dict[str, Any], response.json())


def listed(world: Workspace, **params: Any) -> list[dict[str, Any]]:
    response = world.get("/api/v1/deliveries", **params)
    assert response.status_code == 200, response.text
    return cast(list[dict[str, Any]], response.json()["deliveries"])


def test_a_refused_event_is_found_by_its_reference_with_what_to_do(world: Workspace) -> None:
    answer = world.post(sale("s-1", "129.905") | {"surname": "Lovelace"}).json()
    found = delivery(world, answer["support_reference"])
    assert (found["kind"], found["http_status"], found["code"]) == ("refused", 422, "validation_failed")
    assert found["advice"] == answer["detail"]
    assert found["errors"] == answer["errors"]
    assert "custom_data.value" in found["fields"]
    assert found["took_ms"] > 0
    assert found["mode"] == "live"


def test_of_a_refused_body_names_are_kept_and_no_value(world: Workspace) -> None:
    odd: dict[str, Any] = {"metadata": {"secret-key": 1}, "secret key": 1}
    body = sale("secret-event", "7.777", external_id="secret-person", **odd)
    answer = world.post(body).json()
    found = delivery(world, answer["support_reference"])
    assert found["fields"] == [
        "custom_data.?", "custom_data.currency", "custom_data.metadata", "custom_data.value", "event_id", "event_name",
        "event_time", "user_data.click_id", "user_data.external_id",
    ]  # fmt: skip
    world.served.stop()
    world.served.start()
    for path in world.served.data_dir.glob("deliveries.db*"):
        for secret in (b"secret-event", b"secret-person", b"secret-key", b"secret key", b"7.777"):
            assert secret not in path.read_bytes()


def test_an_accepted_event_and_its_repeat_are_found_too(world: Workspace) -> None:
    first, again = (world.post(lead("l-1")).json() for _ in range(2))
    found = [delivery(world, answer["support_reference"]) for answer in (first, again)]
    assert [(d["kind"], d["http_status"], d["event_id"]) for d in found] == [
        ("accepted", 201, "l-1"),
        ("accepted", 200, "l-1"),
    ]
    assert found[0]["code"] is None
    assert found[0]["secret_id"]


def test_a_rehearsal_says_so(world: Workspace) -> None:
    answer = world.post_raw(b'{"event_name":"lead","event_id":"l"}', path="?validate_only=true").json()
    assert delivery(world, answer["support_reference"])["validate_only"] is True


def test_a_batch_is_one_delivery_with_its_rows_summed_up(world: Workspace) -> None:
    world.post(lead("old"))
    answer = world.post(
        {"events": [lead("old"), lead("new"), lead("new"), {"event_name": "lead"}, follow_on("refund", "r")]},
        path="/batch",
    ).json()
    found = delivery(world, answer["support_reference"])
    events = found["events"]
    assert (events["recorded"], events["repeated"], events["refused"]) == (1, 2, 2)
    assert [(row["index"], row["code"]) for row in events["refused_rows"]] == [
        (3, "validation_failed"),
        (4, "validation_failed"),
    ]
    assert events["refused_rows"][1]["errors"][0]["code"] == "related_missing"
    assert found["batch"] is True


def test_of_an_unsigned_body_only_size_and_code_are_kept(world: Workspace) -> None:
    body = b'{"event_name":"lead","event_id":"stranger"}'
    answer = world.post_raw(body, secret="nimsec_live_wrong").json()
    found = delivery(world, answer["support_reference"])
    assert (found["kind"], found["code"], found["body_bytes"]) == ("unsigned", "signature_mismatch", len(body))
    assert (found["fields"], found["errors"], found["mode"], found["secret_id"]) == (None, [], None, None)


@pytest.mark.parametrize("name", ["X-Nim-Signature", "Content-Type"])
def test_what_the_headers_decided_is_kept_too(world: Workspace, name: str) -> None:
    headers = world.sign(b"{}")
    del headers[name]
    path = f"/api/conversions/callback/{world.workspace_id}"
    reply = raw.send(world.served.port, "POST", path, [*headers.items()], b"{}")
    found = delivery(world, reply.json["support_reference"])
    assert (found["kind"], found["http_status"], found["body_bytes"]) == ("unsigned", reply.status, 2)


def test_nobody_sees_the_deliveries_of_another_workspace(world: Workspace, stranger: Workspace) -> None:
    reference = world.post(lead("l-1")).json()["support_reference"]
    assert stranger.get(f"/api/v1/deliveries/{reference}").json()["code"] == "delivery_not_found"
    assert listed(stranger) == []


def test_the_list_is_paged_newest_first_and_can_be_narrowed(world: Workspace) -> None:
    sent = [world.post(lead(f"l-{n}")).json()["support_reference"] for n in range(3)]
    sent.append(world.post({"event_name": "lead"}).json()["support_reference"])
    sent.append(world.post_raw(b"{").json()["support_reference"])
    sent.append(world.post_raw(b"{}", secret="wrong").json()["support_reference"])
    assert [d["support_reference"] for d in listed(world)] == sent[::-1]
    paged: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = world.get("/api/v1/deliveries", limit=4, cursor=cursor).json()
        paged += [d["support_reference"] for d in page["deliveries"]]
        cursor = page["next_cursor"]
    assert paged == sent[::-1]
    assert [d["support_reference"] for d in listed(world, kind="refused")] == sent[4:2:-1]
    assert [d["support_reference"] for d in listed(world, code="json_malformed")] == [sent[4]]
    assert [d["support_reference"] for d in listed(world, http_status=201)] == sent[2::-1]
    assert [d["support_reference"] for d in listed(world, event_id="l-1")] == [sent[1]]
    assert listed(world, **{"from": "2001-01-01", "to": "2001-01-02"}) == []


def test_strangers_cannot_crowd_out_what_the_workspace_itself_sent(narrow: Workspace) -> None:
    world = narrow
    for _ in range(MOST + 4):
        world.post_raw(b"{}", secret="wrong")
    refused = [world.post_raw(b"{").json()["support_reference"] for _ in range(MOST + 1)]
    accepted = [world.post(lead(f"l-{n}")).json()["support_reference"] for n in range(MOST)]
    page = world.get("/api/v1/deliveries").json()
    kept = [d["support_reference"] for d in page["deliveries"]]
    # Another hour may have begun in between.
    assert set(accepted + refused[:MOST]) <= set(kept)
    assert len([d for d in page["deliveries"] if d["kind"] == "unsigned"]) <= 2 * MOST
    assert page["left_out"]["unsigned"] in (4, 1, 0)


def test_of_workspaces_that_do_not_exist_nothing_is_kept(narrow: Workspace) -> None:
    for workspace_id in (new_id(0), "x" * 36):
        reply = raw.send(
            narrow.served.port, "POST", f"/api/conversions/callback/{workspace_id}", [], b"unknown-" + b"x" * 50
        )
        assert reply.status in (401, 415)
    narrow.get("/api/v1/deliveries")
    for path in narrow.served.data_dir.glob("deliveries.db*"):
        assert new_id(0)[:13].encode() not in path.read_bytes()
