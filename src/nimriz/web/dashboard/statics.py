"""The files that pages load: one sheet of style and one script, named by what is in them, kept for ever by browsers."""

from __future__ import annotations

import gzip
import hashlib
from importlib import resources
from typing import NamedTuple

from nimriz.web.http import Headers, Scope

PREFIX = "/static/"
_TYPES = {"css": b"text/css; charset=utf-8", "js": b"text/javascript; charset=utf-8", "svg": b"image/svg+xml"}
_FOR_EVER = (b"cache-control", b"public, max-age=31536000, immutable")


class File(NamedTuple):
    """One file: its path with a digest of its bytes, and the bytes, also packed."""

    path: str
    headers: Headers
    plain: bytes
    packed: bytes


def load() -> dict[str, File]:
    """Every file by its own name."""
    found = {}
    for entry in resources.files("nimriz.web.dashboard").joinpath("static").iterdir():
        kind = entry.name.rpartition(".")[2]
        if kind in _TYPES:
            plain = entry.read_bytes()
            digest = hashlib.sha256(plain).hexdigest()[:16]
            headers = [(b"content-type", _TYPES[kind]), _FOR_EVER, (b"x-content-type-options", b"nosniff")]
            packed = gzip.compress(plain, 9, mtime=0)
            found[entry.name] = File(f"{PREFIX}{digest}/{entry.name}", headers, plain, packed)
    return found


def chosen(file: File, scope: Scope) -> tuple[Headers, bytes]:
    """A file as the browser can read it."""
    vary = (b"vary", b"accept-encoding")
    accepted = b",".join(value for name, value in scope["headers"] if name == b"accept-encoding")
    if b"gzip" in accepted:
        return [*file.headers, vary, (b"content-encoding", b"gzip")], file.packed
    return [*file.headers, vary], file.plain
