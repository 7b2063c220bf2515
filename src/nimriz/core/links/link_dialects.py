"""Dialects: how other shorteners, and we ourselves, write links as CSV. Where the header names come from:

bitly   the export of the Links page and its support article; the names of the API (custom_bitlinks is a list
        there); bulk upload
dub     the columns of the export dialog (Short link, Destination URL, Clicks, Created at, Updated at, Tags, Archived);
        the names of the API
kutt    has no export of its own: the table `links`, or what its API tells of a link
yourls  the table `yourls_url`, and the plugin Import/Export

Column names are written here as `column_name` makes them: small, and with spaces.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from nimriz.base.urls import UTM_NAMES

COLUMNS = (
    "domain", "short_code", "long_url", "title", "tags", *(f"utm_{name}" for name in UTM_NAMES), "notes", "status",
    "archived", "expires_at", "clicks_max", "redirect_status_code", "conversion_tracking", "conversion_window_days",
    "append_token", "forward_query", "privacy", "password_protected",
)  # fmt: skip
_UTM: dict[str, tuple[str, ...]] = {f"utm_{name}": (f"utm {name}",) for name in UTM_NAMES}


class Dialect(NamedTuple):
    """How one shortener writes its links: the headers that give it away, and what its columns mean.

    A file is of the dialect of which the longest of `known_by` fits, and in doubt of none. A member with several
    columns is what the first of them says that is not empty. `short_url` is an address whose path is the slug.
    `custom` are slugs or such addresses, or lists of them, that go before; a link has one, whichever column says so.
    No other column may look like one that `custom_like` finds.
    """

    name: str
    known_by: tuple[frozenset[str], ...]
    columns: dict[str, tuple[str, ...]]
    exact: bool = False
    custom_like: re.Pattern[str] | None = None


def column_name(text: str) -> str:
    """The name of a column, however it is spelled: `Custom_Bitlinks` is `custom bitlinks`."""
    return " ".join(re.split(r"[\s_-]+", text.strip().lower()))


def _known_by(*headers: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(header.split(", ")) for header in headers)


_OF_BITLY = ("link", "bitlink", "short link")
_CUSTOM = (
    "custom link", "custom links", "custom bitlink", "custom bitlinks", "custom short link", "custom short links",
    "custom back half", "custom back halves", "custom backhalf", "back half", "backhalf",
)  # fmt: skip
DIALECTS = (
    Dialect(
        "nimriz",
        _known_by("short code, long url"),
        {
            "slug": ("short code",),
            **{name: (column_name(name),) for name in COLUMNS if name not in ("domain", "short_code")},
        },
        exact=True,
    ),
    Dialect(
        "yourls",
        _known_by("keyword, url", "source, target", "shorturl, url"),
        {
            "long_url": ("url", "target"),
            "slug": ("keyword", "source"),
            "short_url": ("shorturl",),
            "title": ("title",),
        },
    ),
    Dialect(
        "kutt",
        _known_by("address, target", "link, target"),
        {
            "long_url": ("target",),
            "slug": ("address",),
            "short_url": ("link",),
            "notes": ("description",),
            "expires_at": ("expire in",),
            "banned": ("banned",),
            "password_protected": ("password",),
        },
    ),
    Dialect(
        "dub",
        _known_by(
            "short link, destination url", "short link, destination url, created at",
            "short link, destination url, updated at", "key, url", "shortlink, url",
        ),
        {
            "long_url": ("destination url", "url"),
            "slug": ("key",),
            "short_url": ("short link", "shortlink", "link"),
            "title": ("title",),
            "notes": ("comments",),
            "tags": ("tags",),
            "archived": ("archived",),
            "expires_at": ("expiresat", "expires at"),
            "password_protected": ("password",),
            **_UTM,
        },
    ),
    Dialect(
        "bitly",
        _known_by(
            *(f"{slug}, {url}" for url in ("long url", "destination url") for slug in (*_OF_BITLY, *_CUSTOM)),
            *(f"short link, destination url, {name}" for name in (*_CUSTOM, "date created", "engagements")),
        ),
        {
            "long_url": ("destination url", "long url"),
            "custom": _CUSTOM,
            "short_url": _OF_BITLY,
            "title": ("title",),
            "tags": ("tags",),
            "archived": ("archived", "status"),
            **_UTM,
        },
        custom_like=re.compile("custom|back ?hal"),
    ),
)  # fmt: skip
