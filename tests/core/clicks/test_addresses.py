"""Only what a trusted proxy has written is believed of where a request came from."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nimriz.core.clicks.addresses import FORWARDED, HOPS_MAX, Proxies, client_address, is_trusted, read_proxies

NOBODY = read_proxies("", 0)
LOOPBACK = read_proxies("127.0.0.1, ::1", 0)
PRIVATE = read_proxies("10.0.0.0/8,fd00::/8", 0)
PRIVATE_FORWARDED = read_proxies("10.0.0.0/8,fd00::/8", 0, FORWARDED)

JUNK = [
    b"", b" ", b"unknown", b"_hidden", b"localhost", b"1.2.3", b"1.2.3.4.5", b"1.2.3.256", b"01.2.3.4", b"0x1.2.3.4",
    b"16909060", b"1.2.3.4:", b"1.2.3.4:http", b"1.2.3.4:123456", b"2001:db8::1]:80", b"[2001:db8::1", b"[1.2.3.4]",
    b"[]:80", b"fe80::1%eth0", b"1.2.3.4%lo", b"1.2.3.4/8",
    b'"1.2.3.4"', b"'1.2.3.4'", b"1.2.3.4\0", b"\x001.2.3.4", b"1.2. 3.4", b"1.2.3.4 5.6.7.8", b"1.2.3.4;5.6.7.8",
    b"1.2.3.4\r\n", b"\xff\xfe", "１.2.3.4".encode(), "1。2。3。4".encode(), b"::ffff:1.2.3", b":::", b"::1::",
    b"-1.2.3.4", b"for=1.2.3.4", b"1" * 100_000,
]  # fmt: skip

addresses = st.ip_addresses().map(str)
strangers = addresses.filter(lambda text: not is_trusted(PRIVATE, text))
header_text = st.text(alphabet='0123456789abcdef.:,;="[]%_ \t\0for\\', max_size=200).map(str.encode)
lines = st.lists(
    st.binary(max_size=200) | header_text | st.lists(addresses).map(lambda found: ", ".join(found).encode()), max_size=4
)


def canonical(text: str) -> str:
    address = ipaddress.ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def same(one: str, other: str) -> bool:
    """Whether two spellings are one address: the system's and Python's differ where IPv4 stands at the end."""
    return canonical(one) == canonical(other)


# --- who is believed ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("peer", ["198.51.100.7", "127.0.0.1", "2001:db8::7"])
def test_without_trusted_proxies_nothing_is_believed(peer: str) -> None:
    assert client_address(NOBODY, peer, [b"1.2.3.4"], [b"for=1.2.3.4"]) == peer
    assert not is_trusted(NOBODY, peer)


def test_the_proxy_on_this_machine_tells_the_client() -> None:
    assert client_address(LOOPBACK, "127.0.0.1", [b"198.51.100.7"], []) == "198.51.100.7"
    assert client_address(LOOPBACK, "::1", [b"2001:DB8:0::7"], []) == "2001:db8::7"
    assert client_address(LOOPBACK, "127.0.0.1", [], []) == "127.0.0.1"


def test_what_the_visitor_sent_stands_left_of_what_the_proxy_appended() -> None:
    assert client_address(LOOPBACK, "127.0.0.1", [b"1.1.1.1, 198.51.100.7"], []) == "198.51.100.7"
    assert client_address(LOOPBACK, "127.0.0.1", [b"127.0.0.1", b"1.1.1.1", b"198.51.100.7"], []) == "198.51.100.7"


def test_trusted_proxies_are_passed_over_from_the_right() -> None:
    chain = [b"6.6.6.6, 198.51.100.7, 10.9.9.9", b"fd00::1, 10.0.0.2"]
    assert client_address(PRIVATE, "10.0.0.1", chain, []) == "198.51.100.7"
    assert client_address(PRIVATE, "10.0.0.1", [b"10.0.0.3,10.0.0.2"], []) == "10.0.0.3"


def test_a_count_takes_that_one_from_the_right() -> None:
    chain = [b"6.6.6.6, 198.51.100.7, 203.0.113.1, 203.0.113.2"]
    for count, client in {1: "203.0.113.2", 2: "203.0.113.1", 3: "198.51.100.7"}.items():
        assert client_address(read_proxies("", count), "203.0.113.3", chain, []) == client
    assert client_address(read_proxies("", 5), "203.0.113.3", [b"198.51.100.7"], []) == "198.51.100.7"


def test_a_count_and_networks_bound_each_other() -> None:
    both = read_proxies("10.0.0.0/8", 2)
    assert client_address(both, "10.0.0.1", [b"198.51.100.7, 10.0.0.3, 10.0.0.2"], []) == "10.0.0.3"
    assert client_address(both, "10.0.0.1", [b"6.6.6.6, 198.51.100.7"], []) == "198.51.100.7"
    assert client_address(both, "198.51.100.7", [b"6.6.6.6"], []) == "198.51.100.7"


def test_one_header_is_believed_and_the_other_is_not_looked_at() -> None:
    told = ([b"6.6.6.6"], [b"for=198.51.100.7"])
    assert client_address(PRIVATE_FORWARDED, "10.0.0.1", *told) == "198.51.100.7"
    assert client_address(PRIVATE, "10.0.0.1", *told) == "6.6.6.6"
    assert client_address(PRIVATE_FORWARDED, "10.0.0.1", [b"6.6.6.6"], []) == "10.0.0.1"
    assert client_address(PRIVATE, "10.0.0.1", [], [b"for=6.6.6.6"]) == "10.0.0.1"


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("fd12::1", True), ("11.0.0.1", False), ("fe00::1", False),
        ("::10.1.2.3", False), ("fd12::1%eth0", False), ("", False), ("unix:", False), ("\0", False), ("\ud800", False),
    ],
)  # fmt: skip
def test_a_peer_is_trusted_inside_the_networks_alone(peer: str, trusted: bool) -> None:
    assert is_trusted(PRIVATE, peer) is trusted
    assert client_address(PRIVATE, peer, [b"198.51.100.7"], []) == ("198.51.100.7" if trusted else peer)


def test_an_ipv4_mapped_address_is_ipv4() -> None:
    for proxies in (NOBODY, LOOPBACK):
        assert client_address(proxies, "::ffff:198.51.100.7", [b"6.6.6.6"], []) == "198.51.100.7"
    assert client_address(LOOPBACK, "::ffff:127.0.0.1", [b"::ffff:c633:6407"], []) == "198.51.100.7"
    mapped = read_proxies("::ffff:10.0.0.0/104", 0)
    assert is_trusted(mapped, "10.1.2.3")
    assert not is_trusted(mapped, "11.1.2.3")


@pytest.mark.parametrize(
    ("entry", "visitor"),
    [
        (b"198.51.100.7:4711", "198.51.100.7"),
        (b"[2001:db8::7]", "2001:db8::7"),
        (b"[2001:db8::7]:443", "2001:db8::7"),
        (b"[::ffff:198.51.100.7]:443", "198.51.100.7"),
    ],
)
def test_the_port_that_some_proxies_add_is_no_part_of_the_address(entry: bytes, visitor: str) -> None:
    proxies = read_proxies("10.0.0.0/8", 0)
    assert client_address(proxies, "10.0.0.1", [b"203.0.113.9, " + entry + b", 10.0.0.2:80"], []) == visitor


# --- what is malformed -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("junk", JUNK, ids=lambda junk: repr(junk[:20]))
def test_the_walk_stops_before_what_is_malformed(junk: bytes) -> None:
    assert client_address(PRIVATE, "10.0.0.1", [junk], []) == "10.0.0.1"
    assert client_address(PRIVATE, "10.0.0.1", [b"6.6.6.6," + junk + b", 10.0.0.2"], []) == "10.0.0.2"
    assert client_address(PRIVATE, "10.0.0.1", [junk + b",198.51.100.7"], []) == "198.51.100.7"


@pytest.mark.parametrize("separator", [b",", b", ", b" ,\t"])
def test_thousands_of_entries_are_not_all_read(separator: bytes) -> None:
    many = separator.join([b"10.0.0.9"] * 50_000)
    assert client_address(PRIVATE, "10.0.0.1", [many], []) == "10.0.0.9"
    assert client_address(PRIVATE, "10.0.0.1", [b"6.6.6.6" + separator + many], []) == "10.0.0.9"
    assert client_address(PRIVATE, "10.0.0.1", [b"6.6.6.6", *[b"10.0.0.9"] * HOPS_MAX], []) == "10.0.0.9"
    assert client_address(PRIVATE, "10.0.0.1", [b"6.6.6.6", *[b"10.0.0.9"] * (HOPS_MAX - 1)], []) == "6.6.6.6"


@pytest.mark.parametrize(
    "element",
    [
        b"for=198.51.100.7", b"For=198.51.100.7;proto=https;by=10.0.0.1", b'for="198.51.100.7"',
        b"proto=http ; FOR=198.51.100.7",
        b'for="198.51.100.7:4711"', b'for="[::ffff:198.51.100.7]:80";host="a;b=c"', b'host="a\\"b";for=198.51.100.7',
    ],
)  # fmt: skip
def test_an_element_of_forwarded_is_read_as_the_rfc_writes_it(element: bytes) -> None:
    assert client_address(PRIVATE_FORWARDED, "10.0.0.1", [], [b"for=6.6.6.6, " + element]) == "198.51.100.7"
    chain = [b'for="_spoofed, for=6.6.6.6', element + b', for="[fd00::1]"', b"for=10.0.0.2"]
    assert client_address(PRIVATE_FORWARDED, "10.0.0.1", [], chain) == "198.51.100.7"


@pytest.mark.parametrize(
    "element",
    [
        b"", b"for", b"for=", b"=1.2.3.4", b"for=unknown", b"for=_hidden", b'for="_hidden:80"', b"for=1.2.3.4:80",
        b"for=[2001:db8::1]", b'for="2001:db8::1"', b'for="[2001:db8::1"', b'for="1.2.3.4', b'for=1.2.3.4"',
        b'for="[fe80::1%eth0]"', b'for="1.2.3.4:123456"', b'for="[1.2.3.4]"', b"for=1.2.3.4;for=5.6.7.8",
        b"proto=https", b"for = 1.2.3.4", b"for=1.2.3.4;;;x", b"for=1.2.3.4\0", b'for="1.2\\.3.4"', b"1.2.3.4",
        b"for=1.2.3.4;" + b"a=b;" * 999, b'host="x', b"for=\xff",
    ],
)  # fmt: skip
def test_a_malformed_element_of_forwarded_is_not_believed(element: bytes) -> None:
    assert client_address(PRIVATE_FORWARDED, "10.0.0.1", [], [b"for=6.6.6.6," + element]) == "10.0.0.1"
    assert client_address(PRIVATE_FORWARDED, "10.0.0.1", [], [b"for=6.6.6.6", element, b"for=10.0.0.2"]) == "10.0.0.2"


@given(st.text(alphabet='for=6.;"\\,: ', max_size=60))
@example("x, for=6.6.6.6")
@example('x", for=6.6.6.6;a="')
@example("x, for=6.6.6.6;a=")
def test_nothing_inside_the_quotes_of_a_proxy_is_believed(sent: str) -> None:
    quoted = sent.replace("\\", "\\\\").replace('"', '\\"')
    line = f'for=198.51.100.7;host="{quoted}"'.encode()
    assert client_address(PRIVATE_FORWARDED, "10.0.0.1", [], [line]) in ("198.51.100.7", "10.0.0.1")


# --- for anything that may be sent -------------------------------------------------------------------------------


@given(strangers, lines, lines, st.sampled_from([NOBODY, PRIVATE, PRIVATE_FORWARDED, read_proxies("10.0.0.0/8", 3)]))
def test_an_untrusted_peer_is_the_client_whatever_it_sends(
    peer: str, forwarded_for: list[bytes], forwarded: list[bytes], proxies: Proxies
) -> None:
    assert same(client_address(proxies, peer, forwarded_for, forwarded), peer)


@given(strangers, lines, lines, st.booleans())
def test_a_visitor_changes_nothing_of_what_a_trusted_proxy_appends(
    visitor: str, sent: list[bytes], sent_too: list[bytes], own_line: bool
) -> None:
    told = [*sent, visitor.encode()] if own_line else [b", ".join([*sent, visitor.encode()])]
    for chain in (told, [*told, b"10.0.0.2"]):
        assert same(client_address(PRIVATE, "10.0.0.1", chain, sent_too), visitor)


@given(strangers, lines, lines)
def test_a_visitor_changes_nothing_of_what_a_trusted_proxy_appends_to_forwarded(
    visitor: str, sent: list[bytes], sent_too: list[bytes]
) -> None:
    node = f'"[{visitor}]:80"' if ":" in visitor else visitor
    told = [b", ".join([*sent, f"for={node};proto=https".encode()])]
    assert same(client_address(PRIVATE_FORWARDED, "10.0.0.1", sent_too, told), visitor)


@given(st.text() | addresses, lines, lines, st.integers(0, HOPS_MAX), st.sampled_from(["", "10.0.0.0/8", "::/1"]))
def test_nothing_that_is_sent_raises_and_what_is_believed_is_an_address(
    peer: str, forwarded_for: list[bytes], forwarded: list[bytes], count: int, networks: str
) -> None:
    for header in ("x-forwarded-for", "forwarded"):
        told = client_address(read_proxies(networks, count, header), peer, forwarded_for, forwarded)
        assert told == peer or canonical(told)


# --- the settings ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("networks", "count", "header", "sentence"),
    [
        ("10.0.0.1/8", 0, "forwarded", "has host bits set"),
        ("localhost", 0, "forwarded", "'localhost' is no address"),
        ("10.0.0.0/8,,::1", 0, "forwarded", "'' is no address"),
        ("10.0.0.0/33", 0, "forwarded", "no network"),
        ("fe80::1%eth0", 0, "forwarded", "no address"),
        ("0.0.0.0/0", 0, "forwarded", "trust everybody"),
        ("::/0", 0, "forwarded", "trust everybody"),
        ("::ffff:0:0/96", 0, "forwarded", "trust everybody"),
        (",".join(["10.0.0.1"] * 1_001), 0, "forwarded", "are the most"),
        ("", -1, "forwarded", "0 to 16"),
        ("", 17, "forwarded", "0 to 16"),
        ("", 1, "x-real-ip", "x-forwarded-for or forwarded"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(networks: str, count: int, header: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        read_proxies(networks, count, header)


def test_settings_are_read_with_spaces_and_in_any_case() -> None:
    assert read_proxies(" 10.0.0.0/8 , ::1 ", 0, "Forwarded") == read_proxies("10.0.0.0/8,::1", 0, "forwarded")
    assert read_proxies("  ", 0) == NOBODY
