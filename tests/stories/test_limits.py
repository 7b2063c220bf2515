"""Bounds on bodies, time and rate: what is too much is said, and takes nobody else down."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from tests.stories import raw
from tests.world import Workspace, create_workspace, lead, serving

GOOD = b'{"event_name":"lead","event_id":"limits"}'
TIMEOUT_S = 0.6


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace on a server that waits only a moment for a body."""
    with serving(tmp_path_factory.mktemp("hasty") / "data", body_timeout_s=str(TIMEOUT_S)) as served:
        workspace = create_workspace(served)
        yield workspace
        workspace.client.close()


def chunked(chunks: list[bytes]) -> bytes:
    """A body in chunks."""
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in [*chunks, b""])


def target(shop: Workspace, path: str = "") -> str:
    return f"/api/conversions/callback/{shop.workspace_id}{path}"


def slow(
    shop: Workspace, headers: dict[str, str], body: bytes, pause_s: float, path: str = ""
) -> tuple[raw.Reply, float]:
    """Send a body byte by byte; the answer and the seconds until it came."""
    sent: list[raw.Header] = [("Host", "localhost"), ("Content-Length", str(len(body))), *headers.items()]
    with socket.create_connection(("127.0.0.1", shop.served.port), timeout=10) as connection:
        began_s = time.monotonic()
        connection.sendall(raw.head("POST", target(shop, path), sent))
        connection.settimeout(pause_s)
        for byte in body:
            try:
                connection.sendall(bytes([byte]))
                if connection.recv(1, socket.MSG_PEEK):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        connection.settimeout(10)
        return raw.read_reply(connection, "POST"), time.monotonic() - began_s


@pytest.mark.parametrize("pause_s", [0.05, 5.0], ids=["trickling", "stalled"])
@pytest.mark.parametrize("path", ["", "/batch"])
def test_a_body_that_does_not_come_whole_in_time_is_408(hasty: Workspace, pause_s: float, path: str) -> None:
    body = b'{"events":[' + GOOD.ljust(200) + b"]}" if path else GOOD.ljust(200)
    reply, took_s = slow(hasty, hasty.sign(body), body, pause_s, path)
    assert (reply.status, reply.code) == (408, "body_timeout")
    assert TIMEOUT_S <= took_s < TIMEOUT_S + 1 if pause_s < 1 else took_s < 7


@pytest.mark.parametrize("name", ["X-Nim-Timestamp", "X-Nim-Signature", "Content-Type"])
def test_what_headers_can_decide_is_decided_before_the_body_is_read(hasty: Workspace, name: str) -> None:
    headers = hasty.sign(GOOD)
    del headers[name]
    reply, took_s = slow(hasty, headers, GOOD, 0.3)
    assert reply.status in (401, 415)
    assert took_s < TIMEOUT_S


def test_a_body_that_says_it_is_too_long_is_refused_before_it_is_sent(hasty: Workspace) -> None:
    for path, size in (("", 65_537), ("/batch", 2 * 1024 * 1024 + 1), ("", 10**15), ("", 10**30)):
        headers: list[raw.Header] = [("Host", "localhost"), ("Content-Length", str(size)), *hasty.sign(GOOD).items()]
        reply = raw.send_bytes(hasty.served.port, "POST", raw.head("POST", target(hasty, path), headers))
        assert reply.status in ((413,) if size < 10**20 else (400, 413))


@pytest.mark.parametrize(("path", "bound"), [("", 65_536), ("/batch", 2 * 1024 * 1024)])
def test_a_body_of_exactly_the_bound_passes_and_one_byte_more_does_not(shop: Workspace, path: str, bound: int) -> None:
    body = b'{"events":[' + GOOD + b"]}" if path else GOOD
    assert shop.post_raw(body.ljust(bound), path=path).status_code in (200, 201)
    response = shop.post_raw(body.ljust(bound + 1), path=path)
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("sizes", [[1] * len(GOOD), [10, 20], [len(GOOD)]], ids=["bytes", "three", "one"])
def test_a_chunked_body_is_one_body(shop: Workspace, sizes: list[int]) -> None:
    chunks, rest = [], GOOD
    for size in sizes:
        chunks.append(rest[:size])
        rest = rest[size:]
    chunks += [rest] if rest else []
    headers: list[raw.Header] = [("Host", "localhost"), ("Transfer-Encoding", "chunked"), ("Connection", "close")]
    head = raw.head("POST", target(shop), [*headers, *shop.sign(GOOD).items()])
    reply = raw.send_bytes(shop.served.port, "POST", head + chunked(chunks))
    assert reply.status in (200, 201)


def test_a_chunked_body_that_grows_too_large_is_413(shop: Workspace) -> None:
    body = GOOD.ljust(65_537)
    headers: list[raw.Header] = [("Host", "localhost"), ("Transfer-Encoding", "chunked"), ("Connection", "close")]
    head = raw.head("POST", target(shop), [*headers, *shop.sign(body).items()])
    reply = raw.send_bytes(shop.served.port, "POST", head + chunked([body[:30_000], body[30_000:]]))
    assert (reply.status, reply.code) == (413, "body_too_large")


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 41\r\nTransfer-Encoding: chunked", b"Content-Length: 41\r\nContent-Length: 42"]
)
def test_a_body_framed_twice_records_nothing(shop: Workspace, framing: bytes) -> None:
    body = b'{"event_name":"lead","event_id":"smuggle"}'
    head = raw.head("POST", target(shop), [("Host", "localhost"), ("Connection", "close"), *shop.sign(body).items()])
    reply = raw.send_bytes(shop.served.port, "POST", head[:-2] + framing + b"\r\n\r\n" + body)
    assert 400 <= reply.status < 500
    assert shop.get("/api/v1/conversions/smuggle").status_code == 404


def test_a_client_that_hangs_up_leaves_nothing_and_hurts_nobody(shop: Workspace) -> None:
    body = b'{"event_name":"lead","event_id":"hung-up"}'
    for sent in (0, 1, len(body) - 1):
        with socket.create_connection(("127.0.0.1", shop.served.port), timeout=5) as connection:
            headers: list[raw.Header] = [("Host", "localhost"), ("Content-Length", str(len(body)))]
            connection.sendall(raw.head("POST", target(shop), [*headers, *shop.sign(body).items()]) + body[:sent])
    assert shop.post(lead("after-it")).status_code == 201
    assert shop.get("/api/v1/conversions/hung-up").status_code == 404


def test_a_workspace_over_its_rate_is_429_after_403_and_before_400(data_dir_of_limits: Workspace) -> None:
    shop = data_dir_of_limits
    codes = []
    for _ in range(4):
        response = shop.post_raw(b"{")
        codes.append(response.json()["code"])
        if response.status_code == 429:
            assert int(response.headers["retry-after"]) >= 1
    assert codes[0] == "json_malformed"
    assert "rate_limited" in codes[1:]
    assert shop.post_raw(GOOD, secret="nimsec_live_wrong").json()["code"] == "signature_mismatch"
    shop.served.run("workspace", "plan", shop.workspace_id, "--disable", "conversion_tracking")
    time.sleep(1)
    assert [shop.post_raw(GOOD).status_code for _ in range(4)] == [403] * 4


@pytest.fixture
def data_dir_of_limits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with serving(tmp_path_factory.mktemp("limits") / "data", conversion_rate_per_s="1") as served:
        workspace = create_workspace(served)
        yield workspace
        workspace.client.close()


def test_an_address_over_its_rate_is_429_before_everything(tmp_path_factory: pytest.TempPathFactory) -> None:
    with serving(tmp_path_factory.mktemp("address") / "data", address_rate_per_s="5") as served:
        replies = [raw.send(served.port, "POST", "/api/conversions/callback/x", [], b"x" * 70_000) for _ in range(12)]
        codes = [reply.code for reply in replies]
        assert codes[0] == "body_too_large"
        assert codes[-1] == "rate_limited"
        assert int(replies[-1].header("retry-after") or 0) >= 1
        redirect = raw.send(served.port, "GET", "/nothing")
        assert redirect.status == 404
