"""Destinations: judged as browsers parse them, stored as they were given."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nimriz.base.errors import Refused
from nimriz.core.links import blocklist, destinations, domains
from nimriz.core.links.destinations import Policy
from nimriz.store.sqlite import Sqlite
from tests.laws.ledger import NOW_MS, opened

OWN = frozenset({"localhost", "127.0.0.1", "[::1]"})
PUBLIC = Policy(OWN, private_allowed=False)
PRIVATE_TOO = Policy(OWN, private_allowed=True)


@pytest.fixture
def records() -> Iterator[Sqlite]:
    """An empty database of records."""
    with opened() as ledger:
        yield ledger.database


def refusal(records: Sqlite, long_url: str, policy: Policy = PUBLIC) -> str:
    """The code with which a workspace may not link there; '' when it may."""
    try:
        records.read(lambda tx: destinations.check(tx, "w", destinations.read(long_url), policy))
    except Refused as refused:
        return refused.code
    return ""


@pytest.mark.parametrize(
    "long_url",
    [
        "",
        "shop.example",
        "//shop.example",
        "/landing",
        "javascript:alert(1)",
        "ftp://shop.example",
        "https:shop.example",
        r"https:\\shop.example",
        r"https://shop.example\@evil.example/",
        r"https://shop.example\.evil.example",
        r"https://shop.example\path",
        "https:///shop.example/",
        "https://",
        "https://user:pass@shop.example/",
        "https://user@shop.example/",
        "https://shop.example/a b",
        "https://shop.example/\n",
        "https://shop.example/\r\nSet-Cookie: a=b",
        "https://shop.example/\x7f",
        "https://shop.example/\x85",
        "https://shop.example/\ud800",
        "https://[::1",
        "https://sh%00op.example/",
        "https://shop.example:99999/",
        "https://256.256.256.256/",
        "https://shop.example/" + "a" * 8_192,
        "https://shop.example/" + "é" * 4_096,
    ],
)
def test_what_is_no_absolute_http_url_is_no_destination(long_url: str) -> None:
    with pytest.raises(Refused) as refused:
        destinations.read(long_url)
    assert refused.value.code == "destination_invalid"


@given(st.text(max_size=60), st.sampled_from(["", "https://", "http://shop.example/", "https://a@", "https://[", "//"]))
def test_any_text_is_a_destination_or_is_refused(text: str, before: str) -> None:
    try:
        read = destinations.read(before + text)
    except Refused:
        return
    assert read.given == before + text
    assert read.canonical.startswith(("http://", "https://"))
    assert destinations.read(read.canonical).host == read.host


def test_the_canonical_form_stands_beside_what_was_given() -> None:
    read = destinations.read("HTTPS://Bücher.example:443/ü/../a?x=ü#é")
    assert read.given == "HTTPS://Bücher.example:443/ü/../a?x=ü#é"
    assert read.canonical == "https://xn--bcher-kva.example/a?x=%C3%BC#%C3%A9"
    assert (read.host, destinations.for_people(read.host)) == ("xn--bcher-kva.example", "bücher.example")
    assert destinations.for_people("shop.example") == "shop.example"


@pytest.mark.parametrize(
    "long_url",
    ["http://localhost/x", "http://LOCALHOST:8000/", "http://localhost./", "http://0x7f.1/", "http://[::1]/"],
)
def test_a_link_does_not_lead_to_the_service_itself(records: Sqlite, long_url: str) -> None:
    assert refusal(records, long_url) == refusal(records, long_url, PRIVATE_TOO) == "destination_blocked"


def test_a_link_leads_to_no_short_domain_of_the_installation_but_a_mere_claim_blocks_nobody(records: Sqlite) -> None:
    claim = records.write(lambda tx: domains.add(tx, "v", "go.example", NOW_MS, ready=False))
    assert refusal(records, "https://go.example/x") == ""
    records.write(lambda tx: domains.update(tx, claim._replace(status="ready"), NOW_MS))
    assert refusal(records, "https://GO.example./x") == "destination_blocked"
    assert refusal(records, "https://www.go.example/x") == ""


def test_a_claim_of_its_own_blocks_a_workspace_which_would_go_round_in_circles_once_it_is_ready(
    records: Sqlite,
) -> None:
    own = records.write(lambda tx: domains.add(tx, "w", "go.example", NOW_MS, ready=False))
    assert refusal(records, "https://GO.example./x") == "destination_blocked"
    records.write(lambda tx: domains.remove(tx, own, NOW_MS))
    assert refusal(records, "https://go.example/x") == ""


def test_a_backslash_after_the_host_is_no_matter() -> None:
    assert destinations.read("https://shop.example/a\\b?c\\d").host == "shop.example"


def test_of_stored_destinations_those_whose_host_is_blocked_are_found_at_once(records: Sqlite) -> None:
    records.write(lambda tx: blocklist.add(tx, "w", "evil.example", "", NOW_MS))
    records.write(lambda tx: blocklist.add(tx, blocklist.INSTALLATION, "bad.example", "", NOW_MS))
    bad = ["https://a.EVIL.example./1", "https://bad.example/2"]
    asked = [*bad, "https://fine.example/", "https://[", "https://notevil.example/"]
    assert records.read(lambda tx: destinations.blocked(tx, "w", asked)) == set(bad)
    assert records.read(lambda tx: destinations.blocked(tx, "v", asked)) == {bad[1]}
    assert records.read(lambda tx: destinations.blocked(tx, "v", [])) == set()


@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "2130706434", "0x7f000002", "0177.0.0.2", "127.1.2", "[::]", "[fe80::1]", "[fc00::1]",
        "[ff02::1]", "[::ffff:10.0.0.1]", "[::10.0.0.1]", "[64:ff9b::10.0.0.1]", "[2002:0a00:0001::]",
        "[fec0::1]", "[64:ff9b:1::7f00:1]", "192.88.99.1", "[2002:c058:6301::]", "[3fff::1]", "[5f00::1]",
        "[::ffff:0:127.0.0.1]", "[::ffff:0:203.0.114.1]", "[4000::1]", "[100:1::1]", "[64:ff9b:2::808:808]",
        "localhost.localdomain", "printer.lan", "nas.home", "wiki.corp", "db.intranet", "x.private", "corp.",
        "printer.local", "a.localhost", "nas.internal", "router.home.arpa", "LOCALHOST.",
    ],
)  # fmt: skip
def test_private_hosts_are_refused_unless_the_installation_allows_them(records: Sqlite, host: str) -> None:
    assert refusal(records, f"http://{host}/") == "destination_blocked"
    if host != "LOCALHOST.":
        assert refusal(records, f"http://{host}/", PRIVATE_TOO) == ""


@pytest.mark.parametrize("host", ["8.8.8.8", "[2606:4700::1111]", "shop.example", "local.example", "alocalhost.org",
                                  "lan.example", "acorp.example", "192.88.100.1"])  # fmt: skip
def test_public_hosts_are_not_private(records: Sqlite, host: str) -> None:
    assert refusal(records, f"http://{host}/") == ""


@given(st.ip_addresses(v=4))
def test_an_address_is_judged_alike_however_it_travels(address: ipaddress.IPv4Address) -> None:
    private = destinations.is_private(str(address))
    number = int(address)
    for host in (f"[::ffff:{address}]", f"[64:ff9b::{address}]"):
        canonical = destinations.read(f"http://{host}/").host
        assert destinations.is_private(canonical) or not private
    assert destinations.read(f"http://{number}/").host == str(address)


def test_a_blocked_host_stands_for_all_that_is_under_it(records: Sqlite) -> None:
    records.write(lambda tx: blocklist.add(tx, "w", "evil.example", "phishing", NOW_MS))
    records.write(lambda tx: blocklist.add(tx, blocklist.INSTALLATION, "xn--bcher-kva.example", "", NOW_MS))
    records.write(lambda tx: blocklist.add(tx, "v", "shop.example", "not ours", NOW_MS))
    assert refusal(records, "https://evil.example/") == "destination_blocked"
    assert refusal(records, "https://a.B.evil.example./x") == "destination_blocked"
    assert refusal(records, "https://bücher.example/") == "destination_blocked"
    assert refusal(records, "https://notevil.example/") == ""
    assert refusal(records, "https://shop.example/") == ""


@pytest.mark.parametrize(
    ("text", "host"),
    [("Evil.Example", "evil.example"), ("bücher.example.", "xn--bcher-kva.example"), ("1.2.3.4", "1.2.3.4")],
)
def test_a_host_is_listed_in_its_canonical_form(text: str, host: str) -> None:
    assert blocklist.read_host(text) == host


@pytest.mark.parametrize("text", ["", "a/b", "a:80", "u@a.example", "a b", "https://a.example", "a?b", "a#b", "[::1"])
def test_what_is_no_host_is_not_listed(text: str) -> None:
    with pytest.raises(Refused) as refused:
        blocklist.read_host(text)
    assert [error.code for error in refused.value.errors] == ["host_malformed"]
