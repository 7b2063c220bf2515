"""Places: country, region and city of an address, from a file that the operator brings.

Reads `.mmdb` files as MaxMind (GeoLite2, GeoIP2), DB-IP and IPinfo publish them, for cities or for countries. A newer
file is taken up while lookups go on; a broken one is not, and the old one stays. Never stores an address.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import maxminddb
import structlog
from maxminddb.types import Record

LABEL_BYTES_MAX = 255

_COUNTRY = re.compile(r"[A-Za-z]{2}", re.ASCII)
_SUBDIVISION = re.compile(r"[A-Za-z0-9]{1,3}", re.ASCII)
# Unknown, and the wider areas of older lists.
_NO_COUNTRIES = frozenset({"XX", "ZZ", "AP", "EU"})
_TRIED_COUNT = 200

log = structlog.get_logger()


class Place(NamedTuple):
    """Where an address is, as far as it is known; '' for what is not.

    `country` is an ISO 3166-1 alpha-2 code. `region` is an ISO 3166-2 code such as `DE-BE`, or the English name where
    the file has no code. `city` is the English name.
    """

    country: str
    region: str
    city: str


NOWHERE = Place("", "", "")


class PlacesRefused(Exception):
    """The file of places cannot be used; a sentence says why."""


class _State(NamedTuple):
    """What tells one file from the next under the same name."""

    inode: int
    size: int
    changed_ns: int


class Places:
    """Answers where an address is. Lookups from any thread; `refresh` from one."""

    def __init__(self, path: Path | None) -> None:
        """Read the file; without a path nothing is known. Raises PlacesRefused."""
        self._path = path
        self._reader: maxminddb.Reader | None = None
        self._seen: _State | None = None
        self._broken = False
        if path is not None:
            self._reader, self._seen = _load(path)

    def find(self, address: str) -> Place:
        """The place of an address, NOWHERE for any other text. Never raises, never reads the operator's file."""
        if self._reader is None:
            return NOWHERE
        try:
            return place_of(self._reader.get(address))
        except Exception:  # No address, one that the file does not cover, or whatever a damaged record may bring.
            return NOWHERE

    def refresh(self) -> None:
        """Take up a newer file; for every second or so, in the background. A file that is gone is no error.

        A file that cannot be used is logged once, and looked at again when it has changed.
        """
        if self._path is None:
            return
        try:
            state = _state(os.stat(self._path))
        except OSError:
            return
        if state == self._seen:
            return
        try:
            self._reader, self._seen = _load(self._path)
        except PlacesRefused as refused:
            self._seen = state
            if not self._broken:
                log.warning("places_not_reloaded", error=str(refused))
            self._broken = True
            return
        self._broken = False
        log.info("places_reloaded")


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


def _load(path: Path) -> tuple[maxminddb.Reader, _State]:
    """Open a private copy, so that whoever writes into the file cannot pull it away under a lookup (SIGBUS).

    Raises PlacesRefused, also for a file that is being written while it is read.
    """
    try:
        with path.open("rb") as file, tempfile.NamedTemporaryFile(prefix="nimriz-places-") as copy:
            state = _state(os.fstat(file.fileno()))
            shutil.copyfileobj(file, copy, 1024 * 1024)
            copy.flush()
            if _state(os.fstat(file.fileno())) != state or copy.tell() != state.size:
                raise PlacesRefused("the file of places is being written")
            # The slow reader, since the quick one may corrupt our memory when it walks through a damaged file.
            with maxminddb.open_database(copy.name, maxminddb.MODE_MMAP) as walked:
                if not any(place_of(record).country for _, record in islice(walked, _TRIED_COUNT)):
                    raise PlacesRefused("the file of places knows no countries")
            # Mapped or read as a whole: then the copy may go.
            return maxminddb.open_database(copy.name, maxminddb.MODE_AUTO), state
    except OSError as error:
        raise PlacesRefused(f"the file of places cannot be read ({error.strerror})") from None
    except PlacesRefused:
        raise
    except Exception:
        raise PlacesRefused("the file of places is broken, or no .mmdb file") from None


def _state(found: os.stat_result) -> _State:
    return _State(found.st_ino, found.st_size, found.st_mtime_ns)
