"""The append vectors, through a saved link and a click: not one byte of the destination changes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.stories import raw
from tests.world import HUMAN, Workspace

Case = dict[str, Any]
CASES: list[Case] = json.loads((Path(__file__).parents[1] / "vectors" / "append.json").read_text("utf-8"))["cases"]
TOKEN = re.compile(r"nimct_[A-Za-z0-9_-]{72}")

# Destinations that are odd and legal, and how the contract reads them.
ODD = [
    ("https://example.com/?nim_ctx=1", None),
    ("https://example.com/a%00b%ZZ?x=%", None),
    ("https://example.com/?a=1#b?c=2#d", None),
    ("https://example.com/??", None),
    ("https://example.com/?&&", None),
    ("https://example.com?x", None),
    ("https://example.com#x", None),
    ("https://user.example/%E2%9C%93?q=✓", None),
    ("https://example.com/?next=%2F%3Fa%26token%3D1", None),
    ("https://example.com/?statuscode=1&state=2", None),
    ("https://example.com/?csrfToken=1", "integrity_token"),
    ("https://example.com/?a%5Ftoken=1", "integrity_token"),
    ("https://example.com/?user-token=1", "integrity_token"),
    ("https://example.com/#?token=1", None),
    ("https://example.com/?n%69m_ct=1", "already_present"),
    ("https://example.com/?SAMLResponse=x", "integrity_token"),
    ("https://example.com/?code=1", None),
    ("HTTPS://example.com/?sig=1&sv=2", "signed_azure"),
    ("https://example.com/?sig=1", "integrity_token"),
    ("https://example.com/?__gda__=1", "signed_akamai"),
    ("https://example.com/?payment_intent_client_secret=x", "integrity_token"),
    ("https://example.com/?nim_ct=1&hash=2", "integrity_token"),
]


def clicked(world: Workspace, short_code: str) -> str:
    """The Location of a click, as the bytes on the wire."""
    reply = raw.send(world.served.port, "GET", f"/{short_code}", [("User-Agent", HUMAN)])
    assert reply.status == 302
    assert reply.header("cache-control") == "private, no-store"
    return (reply.header("location") or "").encode("latin-1").decode("utf-8")


def check(shop: Workspace, destination: str, result: str, reason: str | None) -> None:
    body = {"domain_id": shop.domain_id, "long_url": destination, "conversion_tracking": True}
    response = shop.call("POST", "/api/shorten", body)
    assert response.status_code == 201, response.text
    link = response.json()["link"]
    assert link["token_suppressed"] == reason
    assert link["long_url"] == destination
    location = clicked(shop, link["short_code"])
    assert TOKEN.sub("nimct_T", location) == result
    assert len(TOKEN.findall(location)) == (reason is None)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["destination"][:80])
def test_the_vector_is_followed_byte_for_byte(shop: Workspace, case: Case) -> None:
    if case["reason"] == "not_http" or len(case["destination"].encode()) > 8192:
        body = {"domain_id": shop.domain_id, "long_url": case["destination"], "conversion_tracking": True}
        response = shop.call("POST", "/api/shorten", body)
        assert response.status_code == 422, response.text
        return
    check(shop, case["destination"], case["result"], case["reason"])


@pytest.mark.parametrize(("destination", "reason"), ODD, ids=str)
def test_an_odd_destination_is_left_as_it_is(shop: Workspace, destination: str, reason: str | None) -> None:
    before, hash_sign, fragment = destination.partition("#")
    separator = "?" if "?" not in before else "" if before.endswith(("?", "&")) else "&"
    if before.partition("?")[2] == "?":  # The query is '?', which is not empty.
        separator = "&"
    appended = f"{before}{separator}nim_ct=nimct_T{hash_sign}{fragment}"
    check(shop, destination, destination if reason else appended, reason)


@pytest.mark.parametrize(("size", "reason"), [(8192 - 86, None), (8192 - 85, "too_long"), (8192, "too_long")])
def test_a_token_is_appended_up_to_the_last_byte_that_fits(shop: Workspace, size: int, reason: str | None) -> None:
    start = "https://example.com/?q="
    destination = start + "x" * (size - len(start))
    check(shop, destination, destination if reason else f"{destination}&nim_ct=nimct_T", reason)


def test_a_destination_of_more_than_8192_bytes_is_refused_in_bytes_not_characters(shop: Workspace) -> None:
    destination = "https://example.com/?q=" + "é" * 4_100
    body = {"domain_id": shop.domain_id, "long_url": destination}
    assert shop.call("POST", "/api/shorten", body).status_code == 422


@pytest.mark.parametrize(
    "destination",
    [
        "mailto:a@example.com", "javascript:alert(1)", "ftp://example.com/", "//example.com/", "/x", "example.com", "",
        "https://", "https://user:pw@example.com/", "https://user@example.com/", "https://exa mple.com/",
        "https://example.com/\r\nSet-Cookie: a=b", "https://example.com/\tx", " https://example.com/",
        "https://example.com/ ", "https://example.com/\x00", "https://localhost/x", "http://127.0.0.1:1/", "data:,x",
        "http://[::1]/", "http://2130706433/", "http://LOCALHOST./", "http://0x7f.1/",
    ],
)  # fmt: skip
def test_what_is_no_safe_http_destination_is_refused_when_it_is_saved(shop: Workspace, destination: str) -> None:
    body = {"domain_id": shop.domain_id, "long_url": destination}
    response = shop.call("POST", "/api/shorten", body)
    codes = {"destination_invalid", "destination_blocked", "validation_failed"}
    # A NUL is refused wherever it stands in a JSON text.
    assert response.json()["code"] in (codes if "\0" not in destination else {"json_malformed"}), response.text
