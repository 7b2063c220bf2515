"""The pages of short links in a real browser: what a visitor sees, types and reaches."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Window
from tests.stories.test_rules import IPHONE, route, saved
from tests.world import Workspace, create_workspace, serving

PASSWORD = "correct horse & bätterie"


class Shop(BaseHTTPRequestHandler):
    """The destination."""

    def do_GET(self) -> None:
        body = b"<!doctype html><title>The shop</title><link rel=icon href=data:,><h1>Welcome</h1>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Say nothing."""


@pytest.fixture(scope="module")
def destination() -> Iterator[str]:
    """Where the links of these tests lead: a server on another loopback address than the service's."""
    try:
        server = ThreadingHTTPServer(("127.0.0.2", 0), Shop)
    except OSError:
        pytest.skip("this machine has no loopback address 127.0.0.2")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.2:{server.server_port}/landing"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace that may link to loopback addresses."""
    with serving(tmp_path_factory.mktemp("installation") / "data", private_destinations="true") as served:
        workspace = create_workspace(served)
        yield workspace
        workspace.client.close()


def test_a_visitor_gives_a_wrong_password_then_the_right_one_and_lands(
    shop: Workspace, destination: str, window: Window, tmp_path: Path
) -> None:
    link = shop.link(destination, password=PASSWORD, forward_query=True)
    page = window.page
    page.goto(f"{shop.served.url}/{link['short_code']}?a=1&p=poster")
    expect(page).to_have_title("This link is protected")
    for name, scheme, width in [("light", "light", 1280), ("dark", "dark", 1280), ("phone", "light", 375)]:
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.set_viewport_size({"width": width, "height": 720})
        page.screenshot(path=tmp_path / f"{name}.png")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
    field = page.get_by_label("Password")
    field.fill("guess")
    field.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("That is not the password. Please try again.")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.screenshot(path=tmp_path / f"wrong-{scheme}.png")
    field.fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()
    expect(page).to_have_title("The shop")
    assert page.url.startswith(f"{destination}?a=1&nim_ct=nimct_")
    # The browser remembers, for this link alone.
    page.goto(f"{shop.served.url}/{link['short_code']}")
    expect(page).to_have_title("The shop")
    other = shop.link(destination, password=PASSWORD)
    page.goto(f"{shop.served.url}/{other['short_code']}")
    expect(page).to_have_title("This link is protected")
    # A wrong password is answered 403, which Chromium tells on its console whatever the page does.
    assert [told for told in window.complaints if "status of 403" not in told] == []


def test_the_password_page_needs_no_script(shop: Workspace, destination: str, window: Window) -> None:
    link = shop.link(destination, password=PASSWORD)
    assert window.page.context.browser is not None
    page = window.page.context.browser.new_context(java_script_enabled=False).new_page()
    page.goto(f"{shop.served.url}/{link['short_code']}")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()
    expect(page).to_have_title("The shop")
    page.context.close()


@pytest.mark.parametrize("kind", ["nowhere", "expired", "phone"])
def test_the_other_small_pages_look_alike(shop: Workspace, window: Window, tmp_path: Path, kind: str) -> None:
    expired = shop.link("https://shop.example/", expires_at="2020-01-01T00:00:00Z")
    if kind == "phone":
        window.page.set_viewport_size({"width": 320, "height": 568})
    window.page.goto(f"{shop.served.url}/{expired['short_code'] if kind != 'nowhere' else 'nothing-here'}")
    expect(window.page.get_by_role("heading")).to_be_visible()
    window.page.screenshot(path=tmp_path / f"{kind}.png")
    assert window.page.evaluate("getComputedStyle(document.querySelector('main')).borderRadius") != "0px"
    assert [told for told in window.complaints if "status of 4" not in told] == []


def test_whoever_lacks_the_app_is_led_on_by_the_page_that_would_have_opened_it(
    shop: Workspace, destination: str, chromium: Browser
) -> None:
    link = shop.link(destination)
    saved(shop, link, route(destination, app={"ios": {"link": "shop://item/7?a=1&b=2"}}))
    context = chromium.new_context(user_agent=IPHONE)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(f"{shop.served.url}/{link['short_code']}", wait_until="commit")
    expect(page.get_by_role("heading", name="Welcome")).to_be_visible(timeout=20_000)
    assert page.url == destination
    # That nothing on this machine knows the scheme is what is tried here.
    assert [text for text in complaints if "Failed to launch" not in text] == []
    context.close()
