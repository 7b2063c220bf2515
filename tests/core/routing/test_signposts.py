"""Signposts: what is decided about a redirect before a visitor comes."""

from __future__ import annotations

from typing import Any

import pytest

from nimriz.core.directory import entitlements, workspaces
from nimriz.core.links import domains, links
from nimriz.core.links.links import Link
from nimriz.core.routing import targets
from nimriz.core.routing.signposts import Signpost, compile_signpost
from nimriz.core.routing.targets import key_of
from tests.laws.ledger import NOW_MS, opened

URL = "https://shop.example/landing"
SIGNED = "https://shop.example/?X-Amz-Signature=1"


def signpost(long_url: str = URL, plan: str = "enterprise", flag: bool = True, **fields: Any) -> Signpost:
    """The signpost of a new link."""
    with opened() as ledger:

        def made(tx: Any) -> Signpost | None:
            domain = domains.ensure_default(tx, "localhost", NOW_MS)
            owner = workspaces.create(tx, "Alice", NOW_MS).workspace_id
            workspaces.set_plan(tx, owner, plan, NOW_MS)
            entitlements.set_flag(tx, owner, "conversion_tracking", flag, NOW_MS)
            link = Link(
                "", owner, domain.domain_id, "s", long_url, "", "[]", "active", None, 302, 1, None, "auto", 0, 0, 0
            )
            links.create(tx, link._replace(**fields), "operator", NOW_MS)
            assert compile_signpost(tx, domain, "S") is None
            return compile_signpost(tx, domain, "s")

        found = ledger.database.write(made)
        assert found is not None
        return found


@pytest.mark.parametrize(
    ("long_url", "before", "after"),
    [
        (URL, URL + "?", ""),
        (URL + "#top", URL + "?", "#top"),
        (URL + "?a=1#top", URL + "?a=1&", "#top"),
        (URL + "?", URL + "?", ""),
        (URL + "?a=1&", URL + "?a=1&", ""),
    ],
)
def test_the_token_stands_between_the_bytes_that_were_there(long_url: str, before: str, after: str) -> None:
    found = signpost(long_url)
    assert (found.own.head + found.own.separator, found.own.fragment) == (before.encode(), after.encode())
    assert found.own.destination == long_url.encode()


def test_a_link_tracks_when_it_asks_for_it_and_plan_and_flag_allow_it() -> None:
    assert signpost().tracked
    assert not signpost(conversion_tracking=0).tracked
    assert not signpost(plan="starter").tracked
    assert not signpost(flag=False).tracked


def test_the_window_is_the_links_else_the_workspaces() -> None:
    assert signpost().window_days == 30
    assert signpost(conversion_window_days=7).window_days == 7


def test_a_link_that_is_not_active_is_disabled() -> None:
    assert signpost(status="disabled").disabled
    assert not signpost().disabled


def suppressed(long_url: str, append_policy: str) -> str | None:
    """Why nothing is appended."""
    link = Link("", "w", "d", "s", long_url, "", "[]", "active", None, 302, 1, None, append_policy, 0, 0, 0)
    return targets.token_suppression(link)


def test_append_anyway_lifts_what_the_destination_means_and_not_what_does_not_fit() -> None:
    assert suppressed(SIGNED, "auto") == "signed_aws"
    assert suppressed(SIGNED, "always") is None
    assert suppressed(URL, "never") == "owner"
    assert suppressed(SIGNED, "never") == "owner"
    assert suppressed(URL + "?nim_ct=x", "always") == "already_present"
    assert suppressed("https://shop.example/" + "a" * 8_150, "always") == "too_long"
    assert signpost(SIGNED).own.suppression == "signed_aws"
    assert signpost(SIGNED, append_policy="always").own.suppression == ""


def test_the_keys_that_a_destination_has_are_known_decoded() -> None:
    query = "?utm%5Fsource=x&a=1&b&&c+d=2#e=1"
    assert signpost(URL + query, forward_query=1).own.own_keys == {b"utm_source", b"a", b"b", b"c d"}
    assert signpost(URL + query).own.own_keys == frozenset()
    assert key_of(b"%6e%69m_ct=x=y") == b"nim_ct"
    assert key_of(b"") == b""
