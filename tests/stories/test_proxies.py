"""Whose request it is: proxies are believed as far as the operator trusts them, and nobody else ever is."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.mmdb import Value, mmdb
from tests.stories import raw
from tests.stories.visitor import clicks
from tests.world import HUMAN, Body, Served, Workspace, create_workspace, serving

PROXY, STRANGER = "127.0.0.1", "127.0.0.2"
RATE_PER_S = 2
FUZZED = 400
URL = "https://shop.example/landing"
PLACES: dict[str, Value] = {
    "203.0.113.0/24": {
        "country": {"iso_code": "DE"}, "subdivisions": [{"iso_code": "BE"}], "city": {"names": {"en": "Berlin"}},
    },
    "198.51.100.0/24": {"country": {"iso_code": "FR"}},
    "2001:db8::/32": {"country": {"iso_code": "JP"}},
    f"{STRANGER}/32": {"country": {"iso_code": "LI"}},
}  # fmt: skip


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace on a server that trusts one proxy, with a file of places."""
    folder = tmp_path_factory.mktemp("behind")
    (folder / "places.mmdb").write_bytes(mmdb(PLACES))
    with serving(
        folder / "data", trusted_proxies=PROXY, country_header="CF-IPCountry", geo_file=str(folder / "places.mmdb"),
        address_rate_per_s=str(RATE_PER_S),
    ) as served:  # fmt: skip
        workspace = create_workspace(served)
        yield workspace
        workspace.client.close()


def ask(
    served: Served, method: str, target: str, headers: Sequence[raw.Header], body: bytes = b"", peer: str = PROXY
) -> raw.Reply:
    """A request from one of the addresses of this machine."""
    given: list[raw.Header] = [("Host", "localhost"), ("Connection", "close")]
    if method == "POST":
        given.append(("Content-Length", str(len(body))))
    with socket.create_connection((PROXY, served.port), timeout=60, source_address=(peer, 0)) as connection:
        connection.sendall(raw.head(method, target, [*given, *headers]) + body)
        return raw.read_reply(connection, method)


def place_of(world: Workspace, link: Body, *headers: raw.Header, peer: str = PROXY) -> tuple[str, str, str]:
    """Where a click came from."""
    reply = ask(world.served, "GET", f"/{link['short_code']}", [("User-Agent", HUMAN), *headers], peer=peer)
    assert reply.status == 302
    row = clicks(world, link)[-1]
    return row["country"], row["region"], row["city"]


@pytest.mark.parametrize(
    ("headers", "place"),
    [
        ([("X-Forwarded-For", "203.0.113.9")], ("DE", "DE-BE", "Berlin")),
        ([("X-Forwarded-For", "198.51.100.1, 203.0.113.9")], ("DE", "DE-BE", "Berlin")),
        ([("X-Forwarded-For", "198.51.100.1"), ("X-Forwarded-For", "203.0.113.9")], ("DE", "DE-BE", "Berlin")),
        ([("X-Forwarded-For", "198.51.100.1, 127.0.0.1")], ("FR", "", "")),
        ([("X-Forwarded-For", "2001:DB8::7")], ("JP", "", "")),
        ([("X-Forwarded-For", "::ffff:203.0.113.9")], ("DE", "DE-BE", "Berlin")),
        ([("X-Forwarded-For", "8.8.8.8")], ("", "", "")),
        ([("X-Forwarded-For", "nonsense")], ("", "", "")),
        ([("X-Forwarded-For", "203.0.113.9, nonsense")], ("", "", "")),
        ([("X-Forwarded-For", "203.0.113.9:443")], ("DE", "DE-BE", "Berlin")),
        ([("Forwarded", "for=203.0.113.9")], ("", "", "")),
        ([("X-Real-IP", "203.0.113.9"), ("True-Client-IP", "203.0.113.9")], ("", "", "")),
        # The proxy's own word goes before the file.
        ([("X-Forwarded-For", "203.0.113.9"), ("CF-IPCountry", "AT")], ("AT", "", "")),
        ([("X-Forwarded-For", "203.0.113.9"), ("CF-IPCountry", "DE")], ("DE", "DE-BE", "Berlin")),
        ([("X-Forwarded-For", "203.0.113.9"), ("CF-IPCountry", "XX")], ("DE", "DE-BE", "Berlin")),
        ([("X-Forwarded-For", "198.51.100.9"), ("CF-IPCountry", "AT"), ("CF-IPCountry", "CH")], ("FR", "", "")),
        ([], ("", "", "")),
    ],
)  # fmt: skip
def test_a_trusted_proxy_says_where_a_visitor_is_and_a_stranger_does_not(
    behind: Workspace, headers: list[raw.Header], place: tuple[str, str, str]
) -> None:
    link = behind.link(URL)
    assert place_of(behind, link, *headers) == place
    assert place_of(behind, link, *headers, peer=STRANGER) == ("LI", "", "")


def test_strict_privacy_keeps_the_country_and_no_more(behind: Workspace) -> None:
    link = behind.link(URL, privacy="strict")
    assert place_of(behind, link, ("X-Forwarded-For", "203.0.113.9")) == ("DE", "", "")


def test_visitors_behind_a_proxy_are_told_apart_and_those_who_invent_addresses_are_not(behind: Workspace) -> None:
    link = behind.link(URL)
    for number in range(4):
        place_of(behind, link, ("X-Forwarded-For", f"198.51.100.{number}, 203.0.113.{number % 2}"))
        place_of(behind, link, ("X-Forwarded-For", f"203.0.113.{number}"), peer=STRANGER)
    assert len({row["visitor"] for row in clicks(behind, link)}) == 3


def test_where_nobody_is_trusted_headers_are_only_headers(shop: Workspace) -> None:
    link = shop.link(URL)
    spoofed: list[raw.Header] = [("X-Forwarded-For", "203.0.113.9"), ("Forwarded", "for=203.0.113.9")]
    assert place_of(shop, link, *spoofed, ("CF-IPCountry", "DE")) == place_of(shop, link) == ("", "", "")
    assert len({row["visitor"] for row in clicks(shop, link)}) == 1


def test_guessing_is_bounded_by_the_real_address(behind: Workspace) -> None:
    link = behind.link(URL, password="right")

    def guess(forwarded_for: str, peer: str = PROXY) -> int:
        form: list[raw.Header] = [("Content-Type", "application/x-www-form-urlencoded")]
        headers = [*form, ("X-Forwarded-For", forwarded_for)]
        return ask(behind.served, "POST", f"/{link['short_code']}", headers, b"password=wrong", peer).status

    # What stands further left was invented.
    assert {guess(f"198.51.100.{number}, 203.0.113.50") for number in range(10)} == {403}
    assert guess("198.51.100.99, 203.0.113.50") == 429
    assert guess("203.0.113.51") == 403
    assert {guess(f"203.0.113.{number}", STRANGER) for number in range(60, 70)} == {403}
    assert guess("203.0.113.99", STRANGER) == 429


def test_the_conversion_apis_limit_is_by_the_real_address(behind: Workspace) -> None:
    path = f"/api/conversions/callback/{behind.workspace_id}"

    def statuses(addresses: list[str], peer: str = PROXY) -> list[int]:
        headers: list[raw.Header] = [("Content-Type", "application/json")]
        return [
            ask(behind.served, "POST", path, [*headers, ("X-Forwarded-For", address)], b"{}", peer).status
            for address in addresses
        ]

    assert statuses([f"203.0.113.{number}" for number in range(20)]) == [401] * 20
    invented = [f"198.51.100.{number}, 203.0.113.200" for number in range(20)]
    assert statuses(invented)[:RATE_PER_S] == [401] * RATE_PER_S
    assert 429 in statuses(invented)
    assert 429 in statuses([f"203.0.113.{number}" for number in range(100, 120)], STRANGER)


# --- headers of every kind ---------------------------------------------------------------------------------------

FUZZ_NAMES = (
    "X-Forwarded-For", "Forwarded", "CF-IPCountry", "User-Agent", "Referer", "Accept-Language", "Purpose",
    "Sec-Purpose", "X-Moz", "DNT", "Sec-GPC", "X-Real-IP", "Cookie", "X-" + "n" * 300,
)  # fmt: skip
PIECES = (
    b"203.0.113.9", b"2001:db8::1", b"[2001:db8::1]:80", b"::ffff:1.2.3.4", b"fe80::1%eth0", b"127.0.0.1", b"999.1.1.1",
    b"for=", b'for="', b"\\\"", b";", b",", b", ", b" ", b"\t", b"=", b"%", b"*", b"unknown", b"_hidden", b"DE", b"1",
    b"prefetch", b"q=0.", b"en-US", b";q=", b"https://", b"@", b"[", b"]", b"(", b"Mozilla/5.0", b"bot", b"\xff",
    b"\xc3\xa4", b"\xed\xa0\x80", b"\x80" * 9, b"a" * 700, b"," * 300, b"0" * 5_000,
)  # fmt: skip


def test_no_headers_make_an_error_or_stop_a_redirect(behind: Workspace) -> None:
    link, chance = behind.link(URL), random.Random(4)
    told: list[tuple[int, str | None]] = []
    for number in range(FUZZED):
        headers: list[raw.Header] = []
        for _ in range(chance.randrange(1, 12)):
            pieces = [chance.choice(PIECES) for _ in range(chance.randrange(0, 7))]
            if chance.random() < 0.3:
                pieces.append(bytes(chance.choice([9, *range(32, 127), *range(128, 256)]) for _ in range(30)))
            headers.append((chance.choice(FUZZ_NAMES), b"".join(pieces)[:6_000]))
        reply = ask(
            behind.served, "GET", f"/{link['short_code']}", headers, peer=STRANGER if number % 4 == 0 else PROXY
        )
        told.append((reply.status, (reply.header("location") or "")[: len(URL)]))
    assert set(told) == {(302, URL)}
    rows = clicks(behind, link)
    assert len(rows) == FUZZED
    assert {row["country"] for row in rows} <= {"", "DE", "FR", "JP", "LI"}
    assert {row["country"] for row in rows[::4]} == {"LI"}
    log = behind.served.log_path.read_text()
    assert "internal_error" not in log
    assert "chore_failed" not in log


# --- settings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRUSTED_PROXIES", "nonsense"), ("TRUSTED_PROXIES", "10.0.0.0/8,,"), ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("TRUSTED_PROXIES", "0.0.0.0/0"), ("TRUSTED_PROXIES", "::/0"), ("TRUSTED_PROXY_COUNT", "17"),
        ("TRUSTED_PROXY_COUNT", "-1"), ("TRUSTED_PROXY_HEADER", "x-real-ip"), ("COUNTRY_HEADER", "CF IPCountry"),
        ("COUNTRY_HEADER", "CF-IPCountry:"), ("PRIVACY_SIGNALS", "perhaps"),
    ],
)  # fmt: skip
def test_a_setting_that_makes_no_sense_stops_the_start_with_its_name(data_dir: Path, name: str, value: str) -> None:
    stopped = Served(data_dir, {f"NIMRIZ_{name}": value}).run("serve", check=False)
    assert stopped.returncode == 1
    assert stopped.stderr.decode() == f"A setting has a value that it cannot have: NIMRIZ_{name}.\n"
    assert not data_dir.exists()


def test_files_that_cannot_be_used_stop_the_start_with_a_sentence(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "places.txt").write_text("no places")
    for name, path, told in (
        ("GEO_FILE", "gone.mmdb", "The file of places cannot be read (No such file or directory).\n"),
        ("GEO_FILE", "places.txt", "The file of places is broken, or no .mmdb file.\n"),
        ("NETWORK_FILE", "places.txt", "The file of networks is broken, or no .mmdb file.\n"),
        (
            "DAY_KEY_FILE",
            "gone/key",
            f"The key of the day cannot be kept in {tmp_path}/gone/key (No such file or directory): "
            "NIMRIZ_DAY_KEY_FILE names another place.\n",
        ),
    ):
        stopped = Served(data_dir, {f"NIMRIZ_{name}": str(tmp_path / path)}).run("serve", check=False)
        assert (stopped.returncode, stopped.stderr.decode()) == (1, told)
