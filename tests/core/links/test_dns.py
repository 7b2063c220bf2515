"""The DNS, asked for real: a name server on the loopback address answers, or does not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dns.resolver import NoResolverConfiguration, Resolver

from nimriz.core.links import dns
from nimriz.core.links.dns import NOT_ASKED, Records, Server
from tests.nameserver import NameServer, Trouble, name_server
from tests.ports import own_port

NAME = "go.example.com"
CHALLENGE = "_nimriz.go.example.com"


@pytest.fixture
def server() -> Iterator[NameServer]:
    """A name server with an empty zone."""
    with name_server() as running:
        yield running


def look(server: NameServer, *, addresses: bool = False) -> Records:
    """What it says of the domain."""
    return dns.look([Server("127.0.0.1", server.port)], NAME, addresses=addresses)


def test_every_text_is_found_and_one_in_parts_is_joined(server: NameServer) -> None:
    server.put(CHALLENGE, "TXT", '"v=spf1 -all"', '"nimriz-" "verify" "=ab"', '""')
    assert look(server) == Records(frozenset({b"v=spf1 -all", b"nimriz-verify=ab", b""}), frozenset())
    assert server.asked == [(CHALLENGE, "TXT")]


def test_a_name_that_does_not_exist_and_one_without_a_text_are_a_definite_answer(server: NameServer) -> None:
    assert look(server).texts == frozenset()
    server.put(CHALLENGE, "A", "192.0.2.1")
    assert look(server).texts == frozenset()


def test_the_challenge_may_stand_behind_an_alias(server: NameServer) -> None:
    server.put(CHALLENGE, "CNAME", "challenges.example.net.")
    server.put("challenges.example.net", "TXT", '"here"')
    assert look(server).texts == frozenset({b"here"})
    server.put("challenges.example.net", "TXT")
    assert look(server).texts == frozenset()


def test_addresses_of_both_families_are_found_behind_an_alias_too(server: NameServer) -> None:
    server.put(NAME, "CNAME", "edge.example.net.")
    server.put("edge.example.net", "A", "192.0.2.1", "192.0.2.2")
    server.put("edge.example.net", "AAAA", "2001:DB8:0::1")
    assert look(server, addresses=True).addresses == {"192.0.2.1", "192.0.2.2", "2001:db8::1"}


def test_one_family_in_trouble_does_not_hide_the_challenge(server: NameServer) -> None:
    server.challenge(NAME, "here")
    server.trouble[NAME] = "servfail"
    assert look(server, addresses=True) == Records(frozenset({b"here"}), frozenset())


@pytest.mark.parametrize("trouble", ["servfail", "refused", "garbled", "truncated"])
def test_trouble_is_no_answer(server: NameServer, trouble: Trouble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns, "LOOK_S_MAX", 0.5)
    server.challenge(NAME, "here")
    server.trouble[CHALLENGE] = trouble
    assert look(server) == NOT_ASKED


def test_a_silent_server_is_waited_for_only_so_long(server: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns, "LOOK_S_MAX", 2.0)
    server.challenge(NAME, "here")
    server.trouble[NAME] = "silent"
    assert look(server, addresses=True) == Records(frozenset({b"here"}), frozenset())
    server.trouble[CHALLENGE] = "silent"
    assert look(server, addresses=True) == NOT_ASKED


def test_the_second_server_answers_when_the_first_is_not_there(server: NameServer) -> None:
    server.challenge(NAME, "here")
    nobody = Server("127.0.0.1", own_port())
    assert dns.look([nobody], NAME, addresses=False) == NOT_ASKED
    assert dns.look([nobody, Server("127.0.0.1", server.port)], NAME, addresses=False).texts == frozenset({b"here"})


def test_a_machine_without_a_resolver_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(self: object, *_: object) -> None:
        raise NoResolverConfiguration

    monkeypatch.setattr(Resolver, "read_resolv_conf", nothing)
    assert dns.look([], NAME, addresses=True) == NOT_ASKED


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("192.0.2.1", Server("192.0.2.1", 53)), ("192.0.2.1:5353", Server("192.0.2.1", 5353)),
        ("::1", Server("::1", 53)), ("[2001:DB8::1]:5353", Server("2001:db8::1", 5353)),
    ],
)  # fmt: skip
def test_a_name_server_is_an_address_with_or_without_a_port(text: str, server: Server) -> None:
    assert dns.read_server(text) == server


@pytest.mark.parametrize(
    "text",
    ["", "dns.example.com", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:70000", "192.0.2.1:53/", "a@192.0.2.1:53", "[::1"],
)
def test_what_is_no_name_server_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        dns.read_server(text)
