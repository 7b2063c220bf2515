"""App links: what opens an app, and what a domain says of the apps that open its links."""

from __future__ import annotations

import pytest

from nimriz.base.errors import Refused
from nimriz.core.routing import app_links


@pytest.mark.parametrize("link", ["shop://item/7", "com.example.shop:/item?id=7#top", "Shop:item", "shop://ünï"])
def test_an_address_with_the_scheme_of_an_app_is_kept_as_it_is(link: str) -> None:
    assert app_links.read(link) == link


@pytest.mark.parametrize(
    "link",
    [
        "https://shop.example/", "HTTP://shop.example/", "javascript:alert(1)", "data:text/html,x", "view-source:x",
        "intent:x#Intent;end", "mailto:a@b.example", "shop", "shop:", "://x", "1shop://x", "shop://a b", "shop://a\nb",
        'shop://"><script>', "shop://\ud800", "shop://" + "a" * 2_048,
    ],
)  # fmt: skip
def test_what_opens_no_app_is_refused(link: str) -> None:
    with pytest.raises(Refused) as refused:
        app_links.read(link)
    assert refused.value.code == "destination_invalid"


def test_an_intent_names_the_app_and_where_to_go_without_it() -> None:
    told = app_links.intent("shop://item/7?a=1;b#top", "com.example.shop", "https://shop.example/?a=1&b=2;end")
    assert told == (
        "intent://item/7?a=1%3Bb%23top#Intent;scheme=shop;package=com.example.shop;"
        "S.browser_fallback_url=https%3A%2F%2Fshop.example%2F%3Fa%3D1%26b%3D2%3Bend;end"
    )


def test_a_domain_without_apps_has_no_files() -> None:
    for path in (app_links.APPLE_PATH, app_links.ANDROID_PATH, b"/.well-known/security.txt"):
        assert app_links.file_at(path, "[]", "[]") is None
