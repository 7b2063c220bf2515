"""Operations: metrics for whoever may reach the listener, and certificates for the proxy on this machine."""

from __future__ import annotations

import socket
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nimriz.store.db import StoreError
from nimriz.web import metrics, operations
from nimriz.web.metrics import Counters
from nimriz.web.operations import listen
from tests.patience import PATIENCE_S
from tests.ports import own_port

KNOWN = frozenset({"go.example.com", "xn--bcher-kva.example"})


def get(url: str, **headers: str) -> httpx2.Response:
    """Ask, with patience."""
    return httpx2.get(url, headers=headers, timeout=PATIENCE_S)


@contextmanager
def listening(
    may_have_certificate: Callable[[str], bool] = KNOWN.__contains__, host: str = "127.0.0.1"
) -> Iterator[int]:
    """The port on which it answers."""
    port = own_port()
    server, thread = listen(metrics.application(Counters(), {}), may_have_certificate, host, port)
    try:
        yield port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Where it answers."""
    with listening() as port:
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("domain=go.example.com", 200), ("domain=GO.Example.com", 200), ("domain=b%C3%BCcher.example", 200),
        ("other=1&domain=go.example.com", 200), ("domain=www.go.example.com", 404), ("domain=evil.example", 404),
        ("", 400), ("domain", 400), ("domain=", 400), ("Domain=go.example.com", 400), ("domain=127.0.0.1", 400),
        ("domain=go.example.com&domain=go.example.com", 400), ("domain=go.example.com.", 400),
        ("domain=go.example.com%0A", 400), ("domain=go.example.com:443", 400), ("domain=https://go.example.com", 400),
        ("domain=*.example.com", 400), ("domain=%ff%fe", 400), ("domain=" + "a" * 2_000 + ".example", 400),
    ],
)  # fmt: skip
def test_a_proxy_is_told_whether_to_fetch_a_certificate(url: str, query: str, status: int) -> None:
    assert get(f"{url}/certificate?{query}").status_code == status


@given(st.text(max_size=200))
def test_any_text_is_answered_and_only_known_names_have_a_certificate(text: str) -> None:
    environ: Any = {
        "REMOTE_ADDR": "127.0.0.1", "REQUEST_METHOD": "GET",
        "QUERY_STRING": "domain=" + urllib.parse.quote(text, errors="replace"),
    }  # fmt: skip
    status = operations._certificate(environ, KNOWN.__contains__)
    assert status in (404, 400) or text.lower() in ("go.example.com", "xn--bcher-kva.example", "bücher.example")


def test_only_what_is_there_is_answered(url: str) -> None:
    assert "nimriz_redirects_total 0.0" in get(f"{url}/metrics").text
    for path in ("/", "/metrics/", "/certificate/", "/favicon.ico", "/api/v1/whoami"):
        assert get(url + path).status_code == 404
    assert httpx2.post(f"{url}/certificate?domain=go.example.com", timeout=PATIENCE_S).status_code == 405


def test_a_store_that_cannot_be_read_gives_no_certificate() -> None:
    def broken(name: str) -> bool:
        raise StoreError("IOError")

    with listening(broken) as port:
        assert get(f"http://127.0.0.1:{port}/certificate?domain=go.example.com").status_code == 503


@pytest.mark.parametrize(
    ("peer", "may"),
    [
        ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True), ("192.0.2.1", False),
        ("::ffff:192.0.2.1", False), ("fe80::1%eth0", False), ("0.0.0.0", False), ("", False), ("localhost", False),
    ],
)  # fmt: skip
def test_only_this_machine_may_ask_for_certificates(peer: str, may: bool) -> None:
    environ: Any = {"REMOTE_ADDR": peer, "REQUEST_METHOD": "GET", "QUERY_STRING": "domain=go.example.com"}
    assert operations._certificate(environ, KNOWN.__contains__) == (200 if may else 403)


def test_a_peer_from_elsewhere_is_refused_whatever_it_says_of_itself() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        own = probe.getsockname()[0]
    if own.startswith("127."):
        pytest.skip("this machine has the loopback address alone")
    with listening(host="0.0.0.0") as port:
        headers = {"Host": "127.0.0.1", "X-Forwarded-For": "127.0.0.1", "Remote-Addr": "127.0.0.1"}
        url = f"http://{own}:{port}"
        assert get(f"{url}/certificate?domain=go.example.com", **headers).status_code == 403
        assert get(f"{url}/metrics").status_code == 200
        assert get(f"http://127.0.0.1:{port}/certificate?domain=go.example.com").status_code == 200


def test_it_listens_on_ipv6_too() -> None:
    try:
        with listening(host="::1") as port:
            assert get(f"http://[::1]:{port}/certificate?domain=go.example.com").status_code == 200
    except OSError:
        pytest.skip("this machine has no IPv6")


def test_whoever_hangs_up_leaves_nothing_behind(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    port = int(url.rpartition(":")[2])
    for sent in (b"", b"GET /certif", b"\x00\xff\r\n\r\n", b"GET /certificate?domain=go.example.com HTTP/1.1\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(sent)
    assert get(f"{url}/certificate?domain=go.example.com").status_code == 200
    assert "Traceback" not in capfd.readouterr().err
