"""A place is known from the operator's file, whoever published it, while the file is exchanged, and never by guess."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path
from typing import Any

import maxminddb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from nimriz.core.clicks.address_files import AddressFileRefused
from nimriz.core.clicks.places import (
    LABEL_BYTES_MAX,
    NOWHERE,
    Place,
    Places,
    country_of_header,
    place_of,
)
from tests.mmdb import Value, mmdb

BERLIN: Value = {
    "city": {"geoname_id": 2950159, "names": {"de": "Berlin", "en": "Berlin", "zh-CN": "柏林"}},
    "continent": {"code": "EU", "names": {"en": "Europe"}},
    "country": {"geoname_id": 2921044, "is_in_european_union": True, "iso_code": "DE", "names": {"en": "Germany"}},
    "location": {"accuracy_radius": 20, "latitude": 52.5, "longitude": 13.4, "time_zone": "Europe/Berlin"},
    "subdivisions": [{"geoname_id": 2950157, "iso_code": "BE", "names": {"de": "Berlin", "en": "State of Berlin"}}],
}
MAXMIND_COUNTRY: Value = {"country": {"iso_code": "JP", "names": {"en": "Japan"}}, "continent": {"code": "AS"}}
DBIP_CITY: Value = {
    "city": {"names": {"en": "Mountain View"}},
    "continent": {"code": "NA"},
    "country": {"iso_code": "US", "names": {"en": "United States"}},
    "subdivisions": [{"names": {"en": "California"}}],
}
IPINFO_LITE: Value = {
    "asn": "AS1221", "country": "Australia", "country_code": "AU", "continent": "Oceania", "continent_code": "OC",
}  # fmt: skip
IPINFO_COUNTRY: Value = {"country": "NZ", "country_name": "New Zealand"}
IPINFO_CITY: Value = {"city": "Lyon", "region": "Auvergne-Rhône-Alpes", "region_code": "ARA", "country": "FR"}
FILE = mmdb(
    {
        "192.0.2.0/24": BERLIN,
        "198.51.100.0/25": MAXMIND_COUNTRY,
        "198.51.100.128/25": DBIP_CITY,
        "203.0.113.0/26": IPINFO_LITE,
        "203.0.113.64/26": IPINFO_COUNTRY,
        "203.0.113.128/26": IPINFO_CITY,
        "2001:db8::/32": BERLIN,
    }
)
ELSEWHERE = mmdb({"192.0.2.0/24": MAXMIND_COUNTRY})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of places."""
    file = tmp_path / "places.mmdb"
    file.write_bytes(FILE)
    return file


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Places:
    """Places that no test changes."""
    file = tmp_path_factory.mktemp("places") / "places.mmdb"
    file.write_bytes(FILE)
    return Places(file)


def exchange(path: Path, content: bytes) -> None:
    """Put another file in its place, as updaters do."""
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.replace(path)


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("192.0.2.7", Place("DE", "DE-BE", "Berlin")),
        ("2001:db8::7", Place("DE", "DE-BE", "Berlin")),
        ("198.51.100.7", Place("JP", "", "")),
        ("198.51.100.200", Place("US", "California", "Mountain View")),
        ("203.0.113.7", Place("AU", "", "")),
        ("203.0.113.70", Place("NZ", "", "")),
        ("203.0.113.140", Place("FR", "FR-ARA", "Lyon")),
        ("127.0.0.1", NOWHERE),
        ("2001:db9::1", NOWHERE),
    ],
)
def test_every_publishers_record_tells_its_place(path: Path, address: str, place: Place) -> None:
    assert Places(path).find(address) == place


def test_without_a_file_nothing_is_known() -> None:
    places = Places(None)
    places.refresh()
    assert places.find("192.0.2.7") == NOWHERE


def test_a_file_of_ipv4_alone_knows_nothing_of_ipv6(path: Path) -> None:
    path.write_bytes(mmdb({"192.0.2.0/24": BERLIN}, ip_version=4))
    places = Places(path)
    assert places.find("192.0.2.7").country == "DE"
    assert places.find("2001:db8::7") == NOWHERE


@given(st.text() | st.binary().map(lambda b: b.decode("latin-1")) | st.ip_addresses().map(str))
def test_no_text_makes_a_lookup_fail(shared: Places, text: str) -> None:
    assert isinstance(shared.find(text), Place)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "broken"),
        (b"<html>Invalid license key</html>", "broken"),
        (FILE[:-40], "broken"),
        (FILE[: len(FILE) // 2], "broken"),
        (mmdb({"192.0.2.0/24": {"autonomous_system_number": 64496}}), "no countries"),
    ],
)
def test_a_start_with_a_useless_file_is_refused(path: Path, content: bytes, sentence: str) -> None:
    path.write_bytes(content)
    with pytest.raises(AddressFileRefused, match=sentence):
        Places(path)


def test_a_start_without_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AddressFileRefused, match="No such file"):
        Places(tmp_path / "places.mmdb")


def test_a_newer_file_is_taken_up(path: Path) -> None:
    places = Places(path)
    exchange(path, ELSEWHERE)
    assert places.find("192.0.2.7").country == "DE"
    with capture_logs() as logs:
        places.refresh()
        places.refresh()
    assert places.find("192.0.2.7").country == "JP"
    assert [line["event"] for line in logs] == ["address_file_reloaded"]


def test_a_broken_newer_file_leaves_the_old_one_and_is_logged_once(path: Path) -> None:
    places = Places(path)
    with capture_logs() as logs:
        for written in (1, 10, 100):
            path.write_bytes(ELSEWHERE[:written])
            places.refresh()
            places.refresh()
    assert [line["event"] for line in logs] == ["address_file_not_reloaded"]
    assert places.find("192.0.2.7").country == "DE"
    path.write_bytes(ELSEWHERE)
    places.refresh()
    assert places.find("192.0.2.7").country == "JP"


def test_a_file_that_is_gone_is_no_error(path: Path) -> None:
    places = Places(path)
    path.unlink()
    with capture_logs() as logs:
        places.refresh()
    assert logs == []
    assert places.find("192.0.2.7").country == "DE"


def test_whoever_empties_the_file_pulls_nothing_away_under_a_lookup(path: Path) -> None:
    places = Places(path)
    os.truncate(path, 0)
    assert places.find("192.0.2.7").country == "DE"
    assert places.find("2001:db8::7").country == "DE"


def test_lookups_go_on_while_the_file_is_exchanged(path: Path) -> None:
    places = Places(path)
    found: set[Place] = set()
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            found.add(places.find("192.0.2.7"))

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for turn in range(20):
        exchange(path, ELSEWHERE if turn % 2 == 0 else FILE)
        places.refresh()
    stop.set()
    for thread in threads:
        thread.join()
    assert found <= {Place("DE", "DE-BE", "Berlin"), Place("JP", "", "")}


def test_a_damaged_file_never_makes_a_lookup_fail(tmp_path: Path) -> None:
    for position in range(0, len(FILE), 7):
        file = tmp_path / f"{position}.mmdb"
        file.write_bytes(FILE[:position] + bytes([FILE[position] ^ 0xFF]) + FILE[position + 1 :])
        try:
            places = Places(file)
        except AddressFileRefused:
            continue
        for address in ("192.0.2.7", "198.51.100.7", "203.0.113.140", "2001:db8::7"):
            place = places.find(address)
            assert all(len(label.encode()) <= LABEL_BYTES_MAX for label in place)


def test_no_copy_of_the_file_is_left_behind(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    places = Places(path)
    assert list((tmp_path / "scratch").iterdir()) == []
    assert places.find("192.0.2.7").country == "DE"


@pytest.mark.parametrize("city", ["x" * 1_000, "ü" * 1_000, "東" * 1_000, "a\r\nb\0", "\u202eniatnuoM"])
def test_a_label_is_bounded_and_can_be_printed(city: str) -> None:
    found = place_of({"country": {"iso_code": "de"}, "city": {"names": {"en": city}}})
    assert found.country == "DE"
    assert 0 < len(found.city.encode()) <= LABEL_BYTES_MAX
    assert found.city.isprintable()


records: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.sampled_from(["DE", "de", "EU", "DEU"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["country", "country_code", "iso_code", "names", "en", "city", "subdivisions", "region_code"]
            ),
            inner,
        )
    ),
    max_leaves=20,
)


@given(records)
def test_a_record_of_any_shape_makes_a_bounded_place(record: Any) -> None:
    place = place_of(record)
    assert re.fullmatch(r"([A-Z]{2})?", place.country)
    assert all(len(label.encode()) <= LABEL_BYTES_MAX for label in place)


@pytest.mark.parametrize(
    ("value", "country"),
    [(b"DE", "DE"), (b"de", "DE"), (b"XK", "XK"), (b"XX", ""), (b"T1", ""), (b"ZZ", ""), (b"EU", "")]
    + [(bad, "") for bad in (b"", b"D", b"DEU", b"D E", b"DE\n", b"\0\0", b"\xc3\x9f", "ſs".encode(), b"DE" * 9_999)],
)
def test_a_header_names_a_country_by_two_letters(value: bytes, country: str) -> None:
    assert country_of_header(value) == country


@given(st.binary())
def test_no_header_makes_it_fail(value: bytes) -> None:
    country = country_of_header(value)
    assert country in ("", value.decode("latin-1").upper())
    assert len(country) in (0, 2)


def test_the_file_is_one_that_the_publishers_own_reader_reads(path: Path) -> None:
    with maxminddb.open_database(path) as reader:
        assert reader.get("192.0.2.7") == BERLIN
