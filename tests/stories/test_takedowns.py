"""What the operator does about abuse, beside a running server: links taken down, hosts blocked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.patience import until
from tests.stories.visitor import clicks, visit
from tests.world import Workspace

URL = "https://shop.example/landing"


def path(link: dict[str, Any]) -> str:
    return f"/{link['short_code']}"


def printed(shop: Workspace, *arguments: str) -> Any:
    return json.loads(shop.served.run(*arguments, "--json").stdout)


def test_a_link_that_was_taken_down_stops_and_stays_down_whatever_its_owner_does(shop: Workspace) -> None:
    link = shop.link(URL)
    assert visit(shop, path(link)).status == 302
    told = printed(shop, "link", "takedown", link["short_url"] + "?nr=qr", "--reason", "phishing, told by a bank")
    assert told == {
        "link_id": link["id"], "workspace_id": shop.workspace_id, "short_url": link["short_url"], "long_url": URL,
        "taken_down": True, "reason": "phishing, told by a bank",
    }  # fmt: skip
    # HEAD, for one who looks is no click.
    until(lambda: visit(shop, path(link), "HEAD").status == 404)
    assert b"taken down" in visit(shop, path(link)).body
    for change in ({"status": "active"}, {"long_url": f"{URL}?again"}, {"title": "x"}, {"short_code": "another-name"}):
        response = shop.call("PATCH", f"/api/v1/links/{link['id']}", change)
        assert response.status_code == 200
        shown = response.json()["link"]
        assert (shown["taken_down"], shown["status"]) == (True, "disabled")
        assert visit(shop, path(shown)).status == 404
    assert len(clicks(shop, link)) == 1
    assert printed(shop, "link", "restore", link["id"])["taken_down"] is False
    until(lambda: visit(shop, "/another-name", "HEAD").status == 302)
    entries = shop.get(f"/api/v1/links/{link['id']}/history").json()
    (changes,) = [value for value in entries.values() if isinstance(value, list)]
    by_operator = [(c["action"], c["before"], c["after"]) for c in changes if c["actor"] == "operator"]
    reason = "phishing, told by a bank"
    assert by_operator == [
        ("restored", {"takedown": reason}, {"takedown": ""}),
        ("taken_down", {"takedown": ""}, {"takedown": reason}),
    ]


def test_a_blocked_host_stops_every_link_that_leads_there_until_it_is_taken_off(
    shop: Workspace, stranger: Workspace
) -> None:
    ours, theirs = shop.link("https://www.bad.example/x", password="x"), stranger.link("https://bad.example/")
    fine = shop.link("https://notbad.example/")
    assert [visit(shop, path(link)).status for link in (ours, theirs, fine)] == [200, 302, 302]
    added = printed(shop, "block", "add", "BAD.example", "--reason", "malware")
    assert (added["host"], added["reason"]) == ("bad.example", "malware")
    assert [row["host"] for row in printed(shop, "block", "list")] == ["bad.example"]
    until(lambda: [visit(shop, path(link), "HEAD").status for link in (ours, theirs)] == [404, 404])
    assert b"taken down" in visit(shop, path(ours)).body
    assert visit(shop, path(fine)).status == 302
    body = {"domain_id": shop.domain_id, "long_url": "https://bad.example/y"}
    assert shop.call("POST", "/api/shorten", body).json()["code"] == "destination_blocked"
    printed(shop, "block", "remove", "bad.example")
    until(lambda: [visit(shop, path(link), "HEAD").status for link in (ours, theirs)] == [200, 302])
    assert printed(shop, "block", "list") == []


@pytest.mark.parametrize(
    "text", ["nothing-here", "localhost/nothing-here", "00000000-0000-7000-8000-000000000000", "["]
)
def test_a_link_that_is_not_there_is_said_to_be(shop: Workspace, text: str) -> None:
    for command in (("takedown", text, "--reason", "x"), ("restore", text)):
        done = shop.served.run("link", *command, check=False)
        assert (done.returncode, done.stdout) == (1, b"")
        assert done.stderr.decode().count("\n") == 1


def test_a_deleted_link_is_not_there_and_a_link_that_stands_is_not_restored(shop: Workspace) -> None:
    link = shop.link(URL)
    done = shop.served.run("link", "restore", link["id"], check=False)
    assert (done.returncode, done.stderr) == (1, b"This link is not taken down.\n")
    shop.call("POST", "/api/delete-link", {"url_id": link["id"]})
    assert shop.served.run("link", "takedown", link["id"], "--reason", "x", check=False).returncode == 1
    assert shop.served.run("block", "remove", "never.example", check=False).returncode == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("link", "takedown", "x"),
        ("link", "takedown", "x", "--reason", ""),
        ("link", "takedown", "x", "--reason", "x" * 501),
        ("block", "add", "https://bad.example/"),
        ("block", "remove", "a b"),
        ("block", "add", "bad.example", "--reason", "x" * 501),
    ],
)
def test_wrong_usage_exits_2(shop: Workspace, arguments: tuple[str, ...]) -> None:
    assert shop.served.run(*arguments, check=False).returncode == 2
