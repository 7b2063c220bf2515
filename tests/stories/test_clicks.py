"""Clicks one by one, as they land, and what is going on now."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from nimriz.base.ids import new_id
from nimriz.store.migrate import migrate
from nimriz.store.sqlite import Sqlite
from nimriz.web.feed import LISTENERS_OF_WORKSPACE_MAX
from tests.clicklogs import FACTS, Made, append
from tests.patience import PATIENCE_S, until
from tests.world import Body, Workspace, create_workspace, lead, serving

CRAWLER = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
STREAM = "/api/v1/clicks/stream"


def clicks_of(world: Workspace, **params: Any) -> list[Body]:
    """The first page of clicks."""
    answer = world.get("/api/v1/clicks", **params)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["clicks"])


def settled(world: Workspace, count: int) -> list[Body]:
    """So many clicks, once their agents have been read."""
    until(lambda: [bool(click["agent"]) for click in clicks_of(world)] == [True] * count)
    return clicks_of(world)


# --- the list ----------------------------------------------------------------------------------------------------


def test_a_click_tells_where_it_came_from_and_nothing_of_who_made_it(world: Workspace) -> None:
    link = world.link(tags=["spring"])
    world.location(
        link["short_code"],
        "?p=newsletter-42&utm_source=mail&nr=qr",
        **{"Referer": "https://mail.example/inbox", "Accept-Language": "de-AT,en;q=0.5"},
    )
    (click,) = settled(world, 1)
    assert click.items() >= {
        "link_id": link["id"], "domain_id": world.domain_id, "variant": None, "decision": 0, "tracked": True,
        "token_suppressed": None, "destination_host": "shop.example", "touch_type": "qr_scan",
        "placement": "newsletter-42", "referrer_host": "mail.example", "utm": {"source": "mail"}, "tags": ["spring"],
        "country": None, "region": None, "city": None, "browser": "Firefox", "agent": "browser", "quality": "human",
        "reason": None, "converted": False, "customers": 0, "planted": False,
    }.items()  # fmt: skip
    assert click["language"].startswith("de")
    assert "visitor" not in json.dumps(click)
    assert "127.0.0.1" not in json.dumps(click)


def test_pages_go_from_the_newest_to_the_oldest_and_a_link_can_be_picked_out(world: Workspace) -> None:
    one, other = world.link(), world.link()
    for link in (one, other, one, one, other):
        world.location(link["short_code"])
    found: list[Body] = []
    cursor: str | None = ""
    while cursor is not None:
        page = world.get("/api/v1/clicks", limit=2, cursor=cursor).json()
        found += page["clicks"]
        cursor = page["next_cursor"]
    assert [click["link_id"] for click in found] == [link["id"] for link in (other, one, one, other, one)]
    assert [c["id"] for c in found] == sorted((c["id"] for c in found), reverse=True)
    assert clicks_of(world, link_id=other["id"]) == [found[0], found[3]]
    assert clicks_of(world, to="2020-01-01") == []


def test_bots_are_listed_and_marked_unless_they_are_left_out(world: Workspace) -> None:
    link = world.link()
    world.location(link["short_code"])
    world.location(link["short_code"], **{"User-Agent": CRAWLER})
    world.location(link["short_code"], **{"User-Agent": "python-requests/2.32"})
    listed = settled(world, 3)
    assert [(click["quality"], click["reason"]) for click in listed] == [
        ("suspect", "http_library"), ("bot", "declared_crawler"), ("human", None),
    ]  # fmt: skip
    assert clicks_of(world, include_bots="0") == [listed[0], listed[2]]
    assert clicks_of(world, include_suspects="0") == [listed[2]]
    assert world.get("/api/v1/clicks", include_bots="1", include_suspects="0").status_code == 422


def test_a_click_that_brings_many_customers_is_pointed_out(world: Workspace) -> None:
    token = world.click(world.link()["short_code"])
    for number in range(3):
        (click,) = clicks_of(world)
        assert (click["customers"], click["planted"]) == (number, False)
        assert world.post(lead(f"lead-{number}", token, f"customer-{number}")).status_code == 201
    assert world.post(lead("lead-again", token, "customer-0")).status_code == 201
    (click,) = clicks_of(world)
    assert (click["customers"], click["planted"]) == (3, True)


def test_a_click_says_that_it_converted(world: Workspace) -> None:
    token = world.click(world.link()["short_code"])
    assert world.post(lead("lead-1", token)).status_code == 201
    until(lambda: bool(clicks_of(world)[0]["converted"]))
    assert clicks_of(world)[0]["reason"] == "converted"


def test_nobody_reads_the_clicks_of_another_workspace(world: Workspace, stranger: Workspace) -> None:
    link = world.link()
    world.location(link["short_code"])
    assert clicks_of(stranger) == []
    assert clicks_of(stranger, link_id=link["id"]) == []
    assert stranger.get("/api/live-view").json()["recent"] == []
    assert stranger.get(STREAM, link_id=link["id"]).status_code == 404


def test_clicks_beyond_what_the_plan_shows_are_not_listed(data_dir: Path) -> None:
    with serving(data_dir) as served:
        world = create_workspace(served)
        world.location(world.link()["short_code"])
        served.run("workspace", "plan", world.workspace_id, "starter")
        until(lambda: len(clicks_of(world)) == 1)
        served.stop()
        served.env["NIMRIZ_CLOCK_OFFSET_S"] = str(15 * 86_400)
        served.start()
        assert clicks_of(world, **{"from": "2020-01-01"}) == []
        world.client.close()


# --- the stream --------------------------------------------------------------------------------------------------


class Heard:
    """What came over a stream."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self.events: list[Body] = []
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hang up: to close alone would wait for the thread that reads."""
        with contextlib.suppress(OSError):
            self.response.extensions["network_stream"].get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _read(self) -> None:
        told: dict[str, str] = {}
        try:
            for line in self.response.iter_lines():
                name, _, value = line.partition(": ")
                if line and name:
                    told[name] = value
                elif not line and "data" in told:
                    self.events.append({**told, "data": json.loads(told["data"])})
                    told = {}
        except (httpx2.HTTPError, httpx2.StreamError):
            pass
        self.ended.set()

    def wait(self, count: int) -> list[Body]:
        """The clicks, once so many have come."""
        until(lambda: len(self.events) >= count)
        assert len(self.events) == count
        return self.events


@contextlib.contextmanager
def listening(world: Workspace, api_key: str = "", last_id: str = "", **params: str) -> Iterator[Heard]:
    """Listen to a workspace's clicks."""
    headers = {"Authorization": f"Bearer {api_key or world.api_key}", **({"Last-Event-ID": last_id} if last_id else {})}
    with (
        httpx2.Client(base_url=world.served.url, timeout=PATIENCE_S) as client,
        client.stream("GET", STREAM, params=params, headers=headers) as response,
    ):
        assert response.status_code == 200, response.read()
        heard = Heard(response)
        try:
            yield heard
        finally:
            heard.close()


def test_clicks_are_told_as_they_land_to_everybody_who_listens(world: Workspace, stranger: Workspace) -> None:
    one, other = world.link(), world.link()
    world.location(one["short_code"])
    time.sleep(0.05)
    with listening(world) as all_links, listening(world, link_id=other["id"]) as of_other, listening(stranger) as none:
        assert all_links.response.headers["content-type"].startswith("text/event-stream")
        for link in (one, other):
            world.location(link["short_code"], **{"User-Agent": f"{CRAWLER} {link['id']}"})
        told = all_links.wait(2)
        assert [event["data"]["link_id"] for event in told] == [one["id"], other["id"]]
        assert [event["id"] for event in told] == [event["data"]["id"] for event in told]
        assert {event["event"] for event in told} == {"click"}
        # The agent was new, and is told all the same.
        assert {(event["data"]["agent"], event["data"]["reason"]) for event in told} == {
            ("crawler", "declared_crawler")
        }
        assert [event["data"]["link_id"] for event in of_other.wait(1)] == [other["id"]]
        assert none.events == []


def test_who_comes_again_hears_what_was_missed_and_each_click_once(world: Workspace) -> None:
    code = world.link()["short_code"]
    with listening(world) as first:
        world.location(code)
        (heard,) = first.wait(1)
    for _ in range(3):
        world.location(code)
    with listening(world, last_id=heard["id"]) as second:
        second.wait(3)
        world.location(code)
        told = second.wait(4)
        time.sleep(1)
    ids = [event["id"] for event in told]
    assert ids == sorted(set(ids))
    assert heard["id"] not in ids
    assert ids == [click["id"] for click in reversed(clicks_of(world))][1:]


def test_the_last_id_is_a_clicks(world: Workspace) -> None:
    headers = {"Authorization": f"Bearer {world.api_key}", "Last-Event-ID": "yesterday"}
    refused = world.client.get(STREAM, headers=headers)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "Last-Event-ID")


def test_a_workspace_has_so_many_streams_and_one_that_is_closed_makes_room(world: Workspace) -> None:
    with listening(world) as one:
        key = {"Authorization": f"Bearer {world.api_key}"}
        others = [
            world.client.send(world.client.build_request("GET", STREAM, headers=key), stream=True)
            for _ in range(LISTENERS_OF_WORKSPACE_MAX - 1)
        ]
        assert {other.status_code for other in others} == {200}
        refused = world.get(STREAM)
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert int(refused.headers["retry-after"]) > 0
        others[0].close()
        until(lambda: world.served.metric("listeners") < LISTENERS_OF_WORKSPACE_MAX)
        with listening(world):
            pass
        for other in others:
            other.close()
        assert not one.ended.is_set()


def test_a_stream_ends_with_its_key(world: Workspace) -> None:
    made = json.loads(
        world.served.run("key", "create", world.workspace_id, "--scope", "analytics:read", "--json").stdout
    )
    with listening(world, made["api_key"]) as heard, listening(world) as other:
        world.served.run("key", "revoke", world.workspace_id, made["key_id"])
        assert heard.ended.wait(PATIENCE_S)
        assert not other.ended.is_set()


def test_a_graceful_stop_ends_the_streams_and_does_not_wait_for_them(data_dir: Path) -> None:
    with serving(data_dir, stop_timeout_s="100") as served:
        world = create_workspace(served)
        code = world.link()["short_code"]
        with listening(world) as heard:
            world.location(code)
            heard.wait(1)
            began_s = time.monotonic()
            assert served.stop(signal.SIGTERM) == 0
            assert time.monotonic() - began_s < 100
            assert heard.ended.wait(PATIENCE_S)
        world.client.close()


@pytest.mark.parametrize("how", ["closes", "resets"])
def test_a_listener_who_goes_away_is_forgotten(world: Workspace, how: str) -> None:
    until(lambda: world.served.metric("listeners") == 0)
    connection = socket.create_connection(("127.0.0.1", world.served.port))
    request = f"GET {STREAM} HTTP/1.1\r\nHost: localhost\r\nX-Nim-Api-Key: {world.api_key}\r\n\r\n"
    connection.sendall(request.encode())
    assert connection.recv(100).startswith(b"HTTP/1.1 200")
    assert world.served.metric("listeners") == 1
    if how == "resets":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()
    until(lambda: world.served.metric("listeners") == 0)


def test_clicks_of_another_process_are_told_and_who_reads_too_slowly_is_let_go(world: Workspace) -> None:
    link = world.link()
    tags = json.dumps(["x" * 100] * 25)
    other = Sqlite(world.served.data_dir / "clicks-1.db")
    migrate(other, "clicks", 1)
    facts = FACTS._replace(
        workspace_id=world.workspace_id, link_id=link["id"], domain_id=world.domain_id, tags=tags
    )  # fmt: skip

    def land(first_seq: int, count: int) -> None:
        # Of now, when everybody listens already, however long that took.
        now_ms = int(time.time() * 1000)
        append(other, [Made(new_id(now_ms), now_ms, facts) for _ in range(count)], first_seq)

    until(lambda: world.served.metric("listeners") == 0)
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    slow.connect(("127.0.0.1", world.served.port))
    slow.sendall(f"GET {STREAM} HTTP/1.1\r\nHost: localhost\r\nX-Nim-Api-Key: {world.api_key}\r\n\r\n".encode())
    assert slow.recv(100).startswith(b"HTTP/1.1 200")
    with listening(world) as quick:
        heard: list[Body] = []
        for first_seq in range(1, 4_001, 800):
            land(first_seq, 800)  # Fewer bytes than may wait, so that only who reads nothing is let go.
            heard = quick.wait(first_seq + 799)
        assert len({event["id"] for event in heard}) == 4_000
        until(lambda: world.served.metric("listeners") == 1)
        assert not quick.ended.is_set()
    slow.close()
    other.close()


# --- the live view -----------------------------------------------------------------------------------------------


def test_the_live_view_tells_what_is_going_on(world: Workspace) -> None:
    one, other = world.link(), world.link()
    for link in (one, one, other):
        world.location(link["short_code"])
    world.location(one["short_code"], **{"User-Agent": CRAWLER})
    settled(world, 4)
    view = world.get("/api/live-view").json()
    assert (view["minutes"], len(view["clicks_by_minute"]), view["visitors"]) == (30, 30, 1)
    assert sum(minute["clicks"] for minute in view["clicks_by_minute"]) == 3
    assert view["clicks_by_minute"][-1]["minute"] <= view["now"]
    labels = [(link["link_id"], link["clicks"]) for link in view["top_links"]]
    assert labels == [(one["id"], 2), (other["id"], 1)]
    assert view["top_links"][0]["label"] == f"localhost/{one['short_code']}"
    assert (view["top_countries"], len(view["recent"])) == ([], 3)
    assert view["recent"] == clicks_of(world, include_bots="0")
    assert sum(m["clicks"] for m in world.get("/api/live-view", include_bots="1").json()["clicks_by_minute"]) == 4


def test_under_strict_privacy_nobody_says_how_many_visitors_there_are(world: Workspace) -> None:
    assert world.call("PATCH", "/api/v1/workspace", {"privacy": "strict"}).status_code == 200
    assert world.get("/api/live-view").json()["visitors"] is None
