"""The dashboard in a real browser: from the printed link to the home page, without a complaint."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Page, expect

from nimriz.core.members import second_factor
from nimriz.installation import open_installation
from tests.browser.conftest import Window
from tests.world import serving

PASSWORD = "correct horse battery"


def looked_at(page: Page, folder: Path, name: str) -> None:
    """Pictures in light, dark and on a phone; nothing is wider than the screen."""
    for scheme, width in [("light", 1280), ("dark", 1280), ("light", 360)]:
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.set_viewport_size({"width": width, "height": 800})
        page.screenshot(path=folder / f"{name}-{scheme}-{width}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (name, width)
    page.set_viewport_size({"width": 1280, "height": 800})


def test_from_the_printed_link_to_the_home_page(window: Window, tmp_path: Path) -> None:
    page = window.page
    with serving(tmp_path / "data") as served:
        printed = re.search(r"(http\S+/setup/\S+)", served.log_path.read_text())
        assert printed
        page.goto(printed[1])
        looked_at(page, tmp_path, "setup")
        page.get_by_label("Workspace").fill("Ann's shop")
        page.get_by_label("Your name").fill("Ann")
        page.get_by_label("E-mail address").fill("ann@shop.example")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_label("The same again").fill(PASSWORD)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Your first conversion")).to_be_visible()
        looked_at(page, tmp_path, "home")
        for name in ("General", "Members", "Audit"):
            page.get_by_role("link", name=name, exact=True).click()
            expect(page.get_by_role("heading", level=1)).to_have_text(name)
            looked_at(page, tmp_path, name)
        page.get_by_role("link", name="Ann", exact=True).click()
        looked_at(page, tmp_path, "account")
        page.get_by_role("radio", name="Dark").check()
        page.get_by_role("button", name="Use it in this browser").click()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        page.get_by_role("link", name="Set up an authenticator").click()
        looked_at(page, tmp_path, "totp")
        secret = second_factor.read_secret(page.get_by_label("The key for your authenticator").input_value())
        assert secret is not None
        opened = open_installation(served.settings())
        page.get_by_label("Code", exact=True).fill(second_factor.code_at(secret, opened.clock.now_ms()))
        opened.close()
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        code = page.locator(".codes code").first.inner_text()
        page.get_by_role("button", name="Sign out").click()
        page.get_by_label("E-mail address").fill("ann@shop.example")
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.get_by_label("Code").fill(code)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("Home")
        # By keyboard: past the whole side to the content.
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_be_focused()
        # The printed link worked once.
        assert window.complaints == []
        page.goto(printed[1])
        expect(page.get_by_role("heading", level=1)).to_have_text("This link works no more")
