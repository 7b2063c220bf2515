"""Short URLs as people paste them: which host and which slug one names."""

from __future__ import annotations

import re
from typing import NamedTuple

import ada_url

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://|//", re.IGNORECASE)
_END_OF_PATH = re.compile(r"[?#]")


class ShortUrl(NamedTuple):
    """A host in its ASCII form, in lower case, and a slug; both '' for what names none."""

    host: str
    slug: str


def read(text: str) -> ShortUrl:
    """What a text names. Scheme, port, query, fragment and a slash at the end are of no account. Total."""
    rest = _SCHEME.sub("", text, count=1) if _SCHEME.match(text) else text
    authority, _, path = _END_OF_PATH.split(rest, maxsplit=1)[0].partition("/")
    try:
        host = ada_url.URL(f"http://{authority}/").hostname
    except (ValueError, UnicodeEncodeError):
        return ShortUrl("", "")
    return ShortUrl(host, path.removesuffix("/"))
