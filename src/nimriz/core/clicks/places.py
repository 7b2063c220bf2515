"""Places: country, region and city of an address, from a file that the operator brings.

Reads `.mmdb` files as MaxMind (GeoLite2, GeoIP2), DB-IP and IPinfo publish them, for cities or for countries.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from maxminddb.types import Record

from nimriz.core.clicks.address_files import AddressFile, Kind

LABEL_BYTES_MAX = 255

_COUNTRY = re.compile(r"[A-Za-z]{2}", re.ASCII)
_SUBDIVISION = re.compile(r"[A-Za-z0-9]{1,3}", re.ASCII)
# Unknown, and the wider areas of older lists.
_NO_COUNTRIES = frozenset({"XX", "ZZ", "AP", "EU"})


class Place(NamedTuple):
    """Where an address is, as far as it is known; '' for what is not.

    `country` is an ISO 3166-1 alpha-2 code. `region` is an ISO 3166-2 code such as `DE-BE`, or the English name where
    the file has no code. `city` is the English name.
    """

    country: str
    region: str
    city: str


NOWHERE = Place("", "", "")


class Places:
    """Answers where an address is. Lookups from any thread; `refresh` from one."""

    def __init__(self, path: Path | None) -> None:
        """Read the file; without a path nothing is known. Raises AddressFileRefused."""
        self._file = AddressFile(path, Kind("places", lambda record: bool(place_of(record).country), "countries"))
        self.refresh = self._file.refresh

    def find(self, address: str) -> Place:
        """The place of an address, NOWHERE for any other text. Never raises, never reads the operator's file."""
        record = self._file.get(address)
        return NOWHERE if record is None else place_of(record)


def country_of_header(value: bytes) -> str:
    """The country in a header of a proxy (`CF-IPCountry: DE`); '' unless it is two letters that mean one."""
    return _country(value.decode("latin-1"))


def place_of(record: Record | None) -> Place:
    """The place in a record, whichever publisher's."""
    if not isinstance(record, dict):
        return NOWHERE
    within = record.get("country")
    # MaxMind and DB-IP: {"country": {"iso_code": "DE"}}. IPinfo: {"country_code": "DE", "country": "Germany"} in the
    # free file of today, {"country": "DE"} in the others.
    country = _country(within.get("iso_code") if isinstance(within, dict) else record.get("country_code") or within)
    return Place(country, _region(record, country), _name(record.get("city")))


def _country(text: object) -> str:
    if not isinstance(text, str) or not _COUNTRY.fullmatch(text):
        return ""
    code = text.upper()
    return "" if code in _NO_COUNTRIES else code


def _region(record: dict[str, Record], country: str) -> str:
    subdivisions = record.get("subdivisions")
    # The first is the largest.
    largest = subdivisions[0] if isinstance(subdivisions, list) and subdivisions else None
    code = largest.get("iso_code") if isinstance(largest, dict) else record.get("region_code")
    if country and isinstance(code, str) and _SUBDIVISION.fullmatch(code):
        return f"{country}-{code.upper()}"
    return _name(largest or record.get("region"))


def _name(named: object) -> str:
    """An English name, from a record that has it in several languages or in this one."""
    if isinstance(named, dict):
        names = named.get("names")
        named = names.get("en") if isinstance(names, dict) else None
    if not isinstance(named, str):
        return ""
    if len(named) > LABEL_BYTES_MAX // 4:
        named = named.encode("utf-8", "ignore")[:LABEL_BYTES_MAX].decode("utf-8", "ignore")
    return named if named.isprintable() else "".join(filter(str.isprintable, named))
