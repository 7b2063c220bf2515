"""What one request tells of who makes it: from headers that may hold anything, and proxies that may not be ours."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nimriz.core.clicks.addresses import HEADERS, Proxies, read_proxies
from nimriz.core.clicks.places import country_of_header
from nimriz.web.visitor import Visitor, VisitorReader

COUNTRY = b"cf-ipcountry"
PROXY, ELSEWHERE = "127.0.0.1", "198.51.100.7"
TRUSTING = VisitorReader(read_proxies(PROXY, 0), COUNTRY)
ALONE = VisitorReader(Proxies(), COUNTRY)
Pairs = list[tuple[bytes, bytes]]
NAMES = (
    b"user-agent", b"referer", b"accept-language", b"purpose", b"sec-purpose", b"x-purpose", b"x-moz", b"dnt",
    b"sec-gpc", b"x-forwarded-for", b"forwarded", b"x-real-ip", b"true-client-ip", b"host", COUNTRY,
)  # fmt: skip
VALUES = (
    b"", b"1", b"0", b"prefetch", b"DE", b"203.0.113.9", b"203.0.113.9, 127.0.0.1", b"for=203.0.113.9", b"2001:db8::1",
    b"for=\"[2001:db8::1]\"", b"unknown", b",,,", b"::ffff:203.0.113.9", b"203.0.113.9:80", b"\xff\x00",
)  # fmt: skip
headers = st.lists(
    st.tuples(st.sampled_from(NAMES) | st.binary(max_size=12), st.sampled_from(VALUES) | st.binary(max_size=80)),
    max_size=12,
)
clients = st.none() | st.tuples(st.sampled_from([PROXY, ELSEWHERE, "::1", "unix:", ""]) | st.text(), st.integers())


def scope(sent: Pairs, client: Any = (PROXY, 40_000)) -> dict[str, Any]:
    return {"type": "http", "headers": sent, "client": client}


def told_of(reader: VisitorReader, sent: Pairs, client: Any = (PROXY, 40_000)) -> Visitor:
    return reader.read(scope(sent, client))


@given(headers, clients, st.sampled_from(["", PROXY, "10.0.0.0/8,::1"]), st.integers(0, 3), st.sampled_from(HEADERS))
def test_any_headers_are_read_and_an_untrusted_peer_is_the_visitor(
    sent: Pairs, client: tuple[str, int] | None, networks: str, count: int, header: str
) -> None:
    reader = VisitorReader(read_proxies(networks, count, header), COUNTRY)
    visitor = told_of(reader, sent, client)
    assert visitor.address == reader.address_of(scope(sent, client))
    assert visitor.purpose in ("", "prefetch", "preview")
    alone = told_of(ALONE, sent, client)
    # Whom a proxy names changes address and country, and nothing else.
    assert visitor._replace(address="", country="") == alone._replace(address="", country="")
    assert alone.address == told_of(ALONE, [], client).address
    assert alone.country == ""
    lines = [value for name, value in sent if name == COUNTRY]
    assert visitor.country in ("", *(country_of_header(line) for line in lines))


@given(headers, st.sampled_from([(ELSEWHERE, 1), ("2001:db8::7", 1), ("unix:", 0), ("", 0), None]))
def test_headers_of_a_peer_that_is_not_trusted_change_nothing(sent: Pairs, client: tuple[str, int] | None) -> None:
    assert told_of(TRUSTING, sent, client) == told_of(ALONE, sent, client)


def test_a_stranger_who_says_what_a_proxy_would_say_is_a_stranger() -> None:
    sent = [(b"x-forwarded-for", b"203.0.113.9"), (COUNTRY, b"DE")]
    assert told_of(TRUSTING, sent, (ELSEWHERE, 1)) == told_of(ALONE, sent, (ELSEWHERE, 1)) == Visitor(ELSEWHERE)


@given(headers)
def test_a_header_that_was_not_chosen_is_never_believed(sent: Pairs) -> None:
    for chosen, other in (HEADERS, HEADERS[::-1]):
        reader = VisitorReader(read_proxies(PROXY, 0, chosen), COUNTRY)
        without = [pair for pair in sent if pair[0] != other.encode()]
        assert told_of(reader, sent) == told_of(reader, without)


def test_a_trusted_proxy_tells_address_and_country() -> None:
    visitor = told_of(TRUSTING, [(b"x-forwarded-for", b"9.9.9.9, 203.0.113.9"), (COUNTRY, b"de")])
    assert (visitor.address, visitor.country) == ("203.0.113.9", "DE")
    forwarded = VisitorReader(read_proxies(PROXY, 0, "forwarded"), b"")
    sent = [(b"x-forwarded-for", b"9.9.9.9"), (b"forwarded", b'for="[2001:DB8::1]:80";proto=https')]
    assert told_of(forwarded, sent).address == "2001:db8::1"


@pytest.mark.parametrize(
    "sent", [[b"de", b"fr"], [b""], [b"XX"], [b"T1"], [b"DEU"], [b"DE, FR"], [b"\xc3\xa4"], [b"D"]]
)
def test_a_country_that_is_none_or_comes_twice_is_not_believed(sent: list[bytes]) -> None:
    assert told_of(TRUSTING, [(COUNTRY, value) for value in sent]).country == ""


def test_a_country_header_that_is_called_as_a_browsers_is_the_browsers() -> None:
    visitor = told_of(VisitorReader(read_proxies(PROXY, 0), b"user-agent"), [(b"user-agent", b"DE")])
    assert (visitor.user_agent, visitor.country) == (b"DE", "")


@pytest.mark.parametrize(
    ("sent", "purpose"),
    [
        ([(b"sec-purpose", b"prefetch")], "prefetch"),
        ([(b"sec-purpose", b"prefetch;prerender")], "prefetch"),
        ([(b"sec-purpose", b"prefetch;anonymous-client-ip")], "prefetch"),
        ([(b"purpose", b"prefetch")], "prefetch"),
        ([(b"x-moz", b"Prefetch")], "prefetch"),
        ([(b"x-purpose", b"preview")], "preview"),
        ([(b"purpose", b"preview"), (b"purpose", b"none")], "preview"),
        ([(b"sec-purpose", b"")], ""),
        ([(b"sec-purpose", b"navigate")], ""),
        ([(b"x-prefetch", b"prefetch")], ""),
    ],
)
def test_a_page_that_nobody_looks_at_yet_is_known_by_its_purpose(sent: Pairs, purpose: str) -> None:
    assert told_of(ALONE, sent).purpose == purpose


@pytest.mark.parametrize("name", ["dnt", "sec-gpc"])
def test_a_privacy_signal_is_exactly_1_and_one_line_is_enough(name: str) -> None:
    header = name.encode()

    def signals(*values: bytes) -> tuple[bool, bool]:
        visitor = told_of(ALONE, [(header, value) for value in values])
        return visitor.dnt, visitor.gpc

    expected = (name == "dnt", name == "sec-gpc")
    assert signals(b"1") == signals(b"1", b"0") == signals(b"0", b"1") == expected
    for value in (b"0", b"", b"true", b"1, 1", b"11", b"?1", b"\xb1"):
        assert signals(value) == (False, False)


def test_of_a_browsers_header_that_comes_twice_the_last_one_counts() -> None:
    twice = [(name, value) for value in (b"one", b"two") for name in (b"user-agent", b"referer", b"accept-language")]
    visitor = told_of(ALONE, twice)
    assert (visitor.user_agent, visitor.referrer, visitor.accept_language) == (b"two", b"two", b"two")
