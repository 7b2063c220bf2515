"""Referrers: of where a visitor comes from only the host is read."""

from __future__ import annotations

from nimriz.core.clicks.clicks import LABEL_BYTES_MAX


def host_of(referrer: bytes) -> str:
    """The host of a Referer header, in lower case; '' when there is none to be read."""
    if not referrer:
        return ""
    rest = referrer.partition(b"://")[2]
    authority = rest.split(b"/", 1)[0].split(b"?", 1)[0].split(b"#", 1)[0].rpartition(b"@")[2]
    host = authority.partition(b":")[0] if not authority.startswith(b"[") else authority.partition(b"]")[0] + b"]"
    return host[:LABEL_BYTES_MAX].decode("ascii", "ignore").lower() if host.isascii() else ""
