"""Bounds on bodies, time and rate: what is too much is said, and takes nobody else down."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.patience import PATIENCE_S, until
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


def slow(shop: Workspace, headers: dict[str, str], body: bytes, pause_s: float, path: str = "") -> raw.Reply:
    """Send a body byte by byte; the answer."""
    sent: list[raw.Header] = [("Host", "localhost"), ("Content-Length", str(len(body))), *headers.items()]
    with socket.create_connection(("127.0.0.1", shop.served.port), timeout=PATIENCE_S) as connection:
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
        connection.settimeout(PATIENCE_S)
        return raw.read_reply(connection, "POST")


@pytest.mark.parametrize("pause_s", [0.05, 5.0], ids=["trickling", "stalled"])
@pytest.mark.parametrize("path", ["", "/batch"])
def test_a_body_that_does_not_come_whole_in_time_is_408(hasty: Workspace, pause_s: float, path: str) -> None:
    body = b'{"events":[' + GOOD.ljust(200) + b"]}" if path else GOOD.ljust(200)
    reply = slow(hasty, hasty.sign(body), body, pause_s, path)
    assert (reply.status, reply.code) == (408, "body_timeout")


@pytest.mark.parametrize("name", ["X-Nim-Timestamp", "X-Nim-Signature", "Content-Type"])
def test_what_headers_can_decide_is_decided_before_the_body_is_read(hasty: Workspace, name: str) -> None:
    headers = hasty.sign(GOOD)
    del headers[name]
    # Were the body waited for, it would be 408.
    assert slow(hasty, headers, GOOD, 0.3).status in (401, 415)


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
        with socket.create_connection(("127.0.0.1", shop.served.port), timeout=PATIENCE_S) as connection:
            headers: list[raw.Header] = [("Host", "localhost"), ("Content-Length", str(len(body)))]
            connection.sendall(raw.head("POST", target(shop), [*headers, *shop.sign(body).items()]) + body[:sent])
    assert shop.post(lead("after-it")).status_code == 201
    assert shop.get("/api/v1/conversions/hung-up").status_code == 404


def test_a_workspace_over_its_rate_is_429_after_403_and_before_400(data_dir_of_limits: Workspace) -> None:
    shop = data_dir_of_limits
    with ThreadPoolExecutor(12) as threads:
        responses = list(threads.map(lambda _: shop.post_raw(b"{"), range(12)))
    assert {response.json()["code"] for response in responses} == {"json_malformed", "rate_limited"}
    for response in responses:
        assert response.status_code != 429 or int(response.headers["retry-after"]) >= 1
    assert shop.post_raw(GOOD, secret="nimsec_live_wrong").json()["code"] == "signature_mismatch"
    shop.served.run("workspace", "plan", shop.workspace_id, "--disable", "conversion_tracking")
    until(lambda: shop.post_raw(GOOD).status_code == 403)
    assert [shop.post_raw(GOOD).status_code for _ in range(4)] == [403] * 4


@pytest.fixture
def data_dir_of_limits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with serving(tmp_path_factory.mktemp("limits") / "data", conversion_rate_per_s="1") as served:
        workspace = create_workspace(served)
        yield workspace
        workspace.client.close()


def test_an_address_over_its_rate_is_429_before_everything(tmp_path_factory: pytest.TempPathFactory) -> None:
    with serving(tmp_path_factory.mktemp("address") / "data", address_rate_per_s="1") as served:

        def post(_: int) -> raw.Reply:
            return raw.send(served.port, "POST", "/api/conversions/callback/x", [], b"x" * 70_000)

        with ThreadPoolExecutor(12) as threads:
            replies = list(threads.map(post, range(12)))
        assert {reply.code for reply in replies} == {"body_too_large", "rate_limited"}
        assert all(int(r.header("retry-after") or 0) >= 1 for r in replies if r.code == "rate_limited")
        redirect = raw.send(served.port, "GET", "/nothing")
        assert redirect.status == 404
