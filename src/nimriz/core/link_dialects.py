"""Dialects: how other shorteners, and we ourselves, write links as CSV. Where the header names come from:

bitly   the export of the Links page and its support article; the names of the API; bulk upload
dub     the columns of the export dialog; the names of the API
kutt    has no export of its own: the table `links`, or what its API tells of a link
yourls  the table `yourls_url`, and the plugin Import/Export
"""

from __future__ import annotations

from typing import NamedTuple

from nimriz.base.urls import UTM_NAMES

COLUMNS = (
    "domain", "short_code", "long_url", "title", "tags", *(f"utm_{name}" for name in UTM_NAMES), "notes", "status",
    "archived", "expires_at", "clicks_max", "redirect_status_code", "conversion_tracking", "conversion_window_days",
    "append_token", "forward_query", "password_protected",
)  # fmt: skip
_UTM: dict[str, tuple[str, ...]] = {f"utm_{name}": (f"utm_{name}", f"utm {name}") for name in UTM_NAMES}


class Dialect(NamedTuple):
    """How one shortener writes its links: the headers that give it away, and what its columns mean.

    A member with several columns is what the first of them says that is not empty. `short_url` is an address
    whose path is the slug.
    """

    name: str
    known_by: tuple[frozenset[str], ...]
    columns: dict[str, tuple[str, ...]]
    exact: bool = False


def _known_by(*headers: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(header.split(", ")) for header in headers)


DIALECTS = (
    Dialect(
        "nimriz",
        _known_by("short_code, long_url"),
        {"slug": ("short_code",), **{name: (name,) for name in COLUMNS if name not in ("domain", "short_code")}},
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
            "expires_at": ("expire_in",),
            "banned": ("banned",),
            "password_protected": ("password",),
        },
    ),
    Dialect(
        "dub",
        _known_by("short link, destination url", "key, url", "shortlink, url"),
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
            "link, destination url", "link, long_url", "custom_bitlink, long_url", "bitlink, long_url",
            "bitlink, long url", "link, long url", "backhalf, long url",
        ),
        {
            "long_url": ("destination url", "long_url", "long url"),
            "slug": ("backhalf", "back-half", "custom back-half"),
            "short_url": ("custom link", "custom_bitlink", "custom bitlink", "link", "bitlink"),
            "title": ("title",),
            "tags": ("tags",),
            "archived": ("archived", "status"),
            **_UTM,
        },
    ),
)  # fmt: skip
