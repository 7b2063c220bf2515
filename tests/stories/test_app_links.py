"""Links into apps: a domain vouches for apps, and a route opens one, or its store, or the web."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import httpx2
import pytest

from tests.stories.test_rules import HERE, IPHONE, put, route, saved
from tests.stories.test_simulator import simulated
from tests.stories.visitor import TOKEN, clicks, visit
from tests.world import HUMAN, Body, Served, Workspace, serving

OWN = "go.app.example"
ANDROID = "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Mobile Safari/537.36"
STORE = "https://apps.apple.com/app/id1"
APP: Body = {
    "ios": {"link": "shop://item/7?a=1&b=2", "store": STORE},
    "android": {"link": "shop://item/7", "package": "com.example.shop"},
}
APPLE, ASSETS = "/.well-known/apple-app-site-association", "/.well-known/assetlinks.json"
FINGERPRINT = ":".join(["AB"] * 32)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server where one domain needs no proof."""
    with serving(tmp_path_factory.mktemp("installation") / "data", ready_domains=OWN) as running:
        yield running


@pytest.fixture(scope="module")
def domain(shop: Workspace) -> Body:
    """The workspace's own domain."""
    told: Body = shop.call("POST", "/api/v1/domains", {"domain_name": OWN}).json()["domain"]
    return told


def change(shop: Workspace, domain: Body, **fields: Any) -> httpx2.Response:
    """Change the domain."""
    return shop.call("PATCH", f"/api/v1/domains/{domain['id']}", fields)


def file(shop: Workspace, path: str, host: str = OWN) -> httpx2.Response:
    """A file as the systems ask for it."""
    return shop.client.get(path, headers={"Host": host})


def test_a_domain_vouches_for_its_apps_in_the_files_that_the_systems_ask_for(shop: Workspace, domain: Body) -> None:
    assert (domain["ios_apps"], domain["android_apps"]) == ([], [])
    assert file(shop, APPLE).status_code == file(shop, ASSETS).status_code == 404
    android = [{"package": "com.example.shop", "fingerprints": [FINGERPRINT]}]
    told = change(shop, domain, ios_apps=["ABCDE12345.com.example.shop"], android_apps=android)
    assert (told.json()["ios_apps"], told.json()["android_apps"]) == (["ABCDE12345.com.example.shop"], android)
    apple = file(shop, APPLE)
    assert (apple.status_code, apple.headers["content-type"]) == (200, "application/json")
    assert apple.json() == {
        "applinks": {"details": [{"appIDs": ["ABCDE12345.com.example.shop"], "components": [{"/": "/*"}]}]}
    }
    assert file(shop, ASSETS).json() == [
        {
            "relation": ["delegate_permission/common.handle_all_urls"],
            "target": {
                "namespace": "android_app", "package_name": "com.example.shop",
                "sha256_cert_fingerprints": [FINGERPRINT],
            },
        }
    ]  # fmt: skip
    # What was not sent stays, and other hosts say nothing of these apps.
    assert change(shop, domain, root_url=HERE).json()["android_apps"] == android
    assert file(shop, APPLE, "localhost").status_code == 404
    assert file(shop, "/.well-known/security.txt").status_code == 404
    assert shop.client.post(APPLE, headers={"Host": OWN}).status_code == 405
    assert change(shop, domain, ios_apps=None, android_apps=[]).json()["ios_apps"] == []
    assert file(shop, APPLE).status_code == file(shop, ASSETS).status_code == 404


@pytest.mark.parametrize(
    "fields",
    [
        {"ios_apps": ["com.example.shop"]},
        {"ios_apps": ["ABCDE12345.com.example.shop"] * 21},
        {"android_apps": [{"package": "shop", "fingerprints": [FINGERPRINT]}]},
        {"android_apps": [{"package": "com.example.shop", "fingerprints": []}]},
        {"android_apps": [{"package": "com.example.shop", "fingerprints": [FINGERPRINT.lower()]}]},
    ],
)
def test_an_app_that_cannot_be_is_refused(shop: Workspace, domain: Body, fields: Body) -> None:
    assert change(shop, domain, **fields).status_code == 422


def test_a_route_opens_the_app_of_each_system_and_else_leads_to_the_web(shop: Workspace) -> None:
    link = shop.link()
    saved(shop, link, route(HERE, app=APP))
    path = f"/{link['short_code']}"
    ios = visit(shop, path, User_Agent=IPHONE)
    assert (ios.status, ios.header("location")) == (200, None)
    assert re.findall(r'href="([^"]+)"', unescape(ios.body.decode())) == ["shop://item/7?a=1&b=2", STORE]
    android = visit(shop, path, User_Agent=ANDROID)
    assert (android.status, android.header("location")) == (
        302,
        "intent://item/7#Intent;scheme=shop;package=com.example.shop;"
        "S.browser_fallback_url=https%3A%2F%2Fshop.example%2Fhere;end",
    )
    desktop = visit(shop, path, User_Agent=HUMAN)
    assert TOKEN.sub("T", desktop.header("location") or "") == f"{HERE}?T"
    rows = clicks(shop, link)
    assert [row["token_suppressed"] for row in rows] == ["not_http", "not_http", ""]
    assert {row["decision"] for row in rows} == {1}
    assert visit(shop, path, "HEAD", User_Agent=IPHONE).status == 200
    assert len(clicks(shop, link)) == 3


def test_the_simulator_tells_of_the_app_too(shop: Workspace) -> None:
    link = shop.link()
    saved(shop, link, route(HERE, app=APP))
    ios = simulated(shop, link, os="iOS")
    assert (ios["status"], ios["location"]) == (200, None)
    assert ios["opens_app"] == {"link": "shop://item/7?a=1&b=2", "fallback": STORE}
    assert ios["token"] == {"appended": False, "suppressed": "not_http"}
    assert simulated(shop, link, os="Android")["location"].startswith("intent://item/7#Intent;")
    assert simulated(shop, link, os="Windows")["opens_app"] is None


@pytest.mark.parametrize(
    ("app", "field"),
    [
        ({"ios": {"link": "https://shop.example/"}}, "rules.0.app.ios.link"),
        ({"ios": {"link": "shop://x", "store": "shop://y"}}, "rules.0.app.ios.store"),
        ({"android": {"link": "javascript:x", "package": "com.example.shop"}}, "rules.0.app.android.link"),
        ({"android": {"link": "shop://x", "package": "shop"}}, "rules.0.app.android.package"),
        ({"android": {"link": "shop://x", "package": "com.example.shop", "store": "http://10.0.0.1/"}}, "rules.0"),
    ],
)
def test_an_app_that_a_route_cannot_open_is_refused_with_its_place(shop: Workspace, app: Body, field: str) -> None:
    refused = put(shop, shop.link(), [route(app=app)])
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, field)
