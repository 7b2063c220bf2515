"""Told apart by Host and path: unknown hosts, unknown paths, wrong methods."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.stories import raw
from tests.world import HUMAN, Served, Workspace, create_workspace

ID = "00000000-0000-7000-8000-000000000000"


def ask(shop: Workspace, target: str, *hosts: str | bytes, method: str = "GET") -> raw.Reply:
    """A request with these Host headers and no other."""
    headers: list[raw.Header] = [("Connection", "close"), ("User-Agent", HUMAN), *(("Host", h) for h in hosts)]
    return raw.send(shop.served.port, method, target, headers, host=False)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "Localhost:1", "127.0.0.1", "127.0.0.1:80", "[::1]:8000"])
def test_the_application_answers_on_its_own_hosts_with_any_port_and_case(shop: Workspace, host: str) -> None:
    assert ask(shop, "/_health", host).status == 200
    assert ask(shop, "/api/v1/whoami", host).code == "unauthorized"
    slug = shop.link()["short_code"]
    assert ask(shop, f"/{slug}", host).status == 302


@pytest.mark.parametrize(
    "hosts",
    [
        (), ("evil.example",), ("localhost.",), ("localhost.evil.example",), ("www.localhost",), ("localhost:80:80",),
        ("localhost", "localhost"), ("localhost", "evil.example"), ("localhost, localhost",), ("",), (":80",),
        ("localhost:x",), ("user@localhost",), (b"localhost\xff",), ("localhost/",), ("[::2]",), ("127.0.0.2",),
        ("xn--nxasmq6b",), ("loc%61lhost",), ("localhost\t.evil",),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("target", ["/_health", "/api/v1/whoami", "/api/conversions/callback/x", "/", "/slug"])
def test_an_unknown_host_several_or_none_are_misdirected(
    shop: Workspace, hosts: tuple[str | bytes, ...], target: str
) -> None:
    reply = ask(shop, target, *hosts)
    assert reply.status in (421, 400) if hosts != ("evil.example",) else reply.status == 421
    if len(hosts) != 1 or hosts[0] in ("", "evil.example", "localhost.", "www.localhost", "127.0.0.2", "[::2]"):
        assert (reply.status, reply.code) == (421, "host_unknown")


def test_no_url_that_we_build_comes_from_the_host_header(shop: Workspace) -> None:
    slug = shop.link()["short_code"]
    for host in ("127.0.0.1", "localhost:1", "LOCALHOST:99999"):
        headers: list[raw.Header] = [("Host", host), ("X-Nim-Api-Key", shop.api_key), ("Connection", "close")]
        headers += [("X-Forwarded-Host", "evil.example"), ("Forwarded", "host=evil.example")]
        reply = raw.send(shop.served.port, "GET", "/api/v1/links", headers, host=False)
        (link,) = [link for link in reply.json["links"] if link["short_code"] == slug]
        assert link["short_url"] == f"{shop.served.url}/{slug}"
        assert b"evil" not in reply.body
        assert b"99999" not in reply.body
        for target in ("/api/v1/links/", "/api/v1/whoami/", "/api/shorten/", "/api/", "//api/v1/links"):
            reply = raw.send(shop.served.port, "GET", target, headers, host=False)
            assert reply.header("location") is None, target


@pytest.mark.parametrize(
    ("method", "target", "allow"),
    [
        ("GET", f"/api/conversions/callback/{ID}", "POST"),
        ("PUT", f"/api/conversions/callback/{ID}", "POST"),
        ("HEAD", f"/api/conversions/callback/{ID}", "POST"),
        ("OPTIONS", f"/api/conversions/callback/{ID}", "POST"),
        ("GET", f"/api/conversions/callback/{ID}/batch", "POST"),
        ("DELETE", "/api/shorten", "POST"),
        ("GET", "/api/shorten", "POST"),
        ("POST", "/api/v1/whoami", "GET"),
        ("PUT", f"/api/v1/links/{ID}", "GET, PATCH"),
        ("POST", "/some-slug", "GET, HEAD"),
        ("DELETE", "/some-slug", "GET, HEAD"),
        ("POST", "/", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_told_the_right_one(shop: Workspace, method: str, target: str, allow: str) -> None:
    reply = raw.send(shop.served.port, method, target, [("X-Nim-Api-Key", shop.api_key)])
    assert reply.status == 405
    assert {part.strip() for part in (reply.header("allow") or "").split(",")} - {"HEAD"} == (
        {part.strip() for part in allow.split(",")} - {"HEAD"}
    )
    if target.startswith("/api/") and method != "HEAD":
        assert reply.code == "method_not_allowed"


@pytest.mark.parametrize(
    "target",
    [
        "/api", "/api/", "/api/nothing", "/api/v1", "/api/v2/links", "/api/v1/links/", f"/api/v1/links/{ID}",
        "/api/v1/links/x", "/api/v1/conversions/nothing", "/api/conversions/callback/", "/api/conversions",
        f"/api/conversions/callback/{ID}/other", f"/api/conversions/callback/{ID}/batch/x",
        f"/api/conversions/callback/{ID}/", "/billing/x", "/admin",
        "/.well-known/x", "/oauth", "/api/..%2f_health", "/api/%00",
    ],
)  # fmt: skip
def test_what_is_not_there_is_a_404_that_is_a_problem(shop: Workspace, target: str) -> None:
    method = "POST" if "callback" in target else "GET"
    reply = raw.send(shop.served.port, method, target, [("X-Nim-Api-Key", shop.api_key)])
    assert reply.status == 404, reply.body
    assert reply.header("content-type") == "application/problem+json"
    assert (reply.code or "").endswith("not_found")
    assert "no-store" in (reply.header("cache-control") or "")


@pytest.mark.parametrize("name", ["docs", "redoc", "openapi.json"])
def test_no_framework_page_is_served(shop: Workspace, name: str) -> None:
    assert raw.send(shop.served.port, "GET", f"/{name}").status == 404


@pytest.mark.parametrize("encoded", ["%61pi/v1/whoami", "api%2fv1%2fwhoami", "_healt%68", "%5fhealth"])
def test_a_reserved_path_spelled_with_escapes_is_no_door(shop: Workspace, encoded: str) -> None:
    assert raw.send(shop.served.port, "GET", f"/{encoded}", [("X-Nim-Api-Key", shop.api_key)]).status == 404


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_every_host_has_an_icon_that_may_be_kept_for_a_day(shop: Workspace, host: str) -> None:
    icon = ask(shop, "/favicon.ico", host)
    assert (icon.status, icon.header("content-type")) == (200, "image/x-icon")
    assert icon.header("cache-control") == "public, max-age=86400"
    assert icon.body[:4] == b"\0\0\1\0"
    head = ask(shop, "/favicon.ico", host, method="HEAD")
    assert (head.status, head.header("content-length"), head.body) == (200, str(len(icon.body)), b"")
    assert ask(shop, "/favicon.ico", host, method="POST").header("allow") == "GET, HEAD"


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_an_installation_set_to_a_loopback_address_writes_its_short_urls_there(data_dir: Path, host: str) -> None:
    served = Served(data_dir)
    served.env["NIMRIZ_APP_URL"] = f"http://{host}:{served.port}"
    try:
        served.start()
        world = create_workspace(served)
        link = world.link("https://shop.example/")
        assert link["short_url"] == f"http://{host}:{served.port}/{link['short_code']}"
        assert link["domain"] == "localhost"
        for name in ("localhost", "127.0.0.1", "[::1]"):
            visited = world.client.get(f"/{link['short_code']}", headers={"Host": name, "User-Agent": HUMAN})
            assert visited.status_code == 302
        assert world.get("/api/v1/links/find", short_url=link["short_url"]).json()["link"]["id"] == link["id"]
        world.client.close()
    finally:
        if served.process is not None:
            served.stop(signal.SIGKILL)
