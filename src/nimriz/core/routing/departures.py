"""Departures: with which address a visitor leaves for a target. Pure, and the same for redirect and simulator.

Not one byte of a destination changes; what the visitor brought along and the token come after it, where they may
(sections 2 and 2.1 of the wire contract).
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from nimriz.base.urls import DESTINATION_BYTES_MAX
from nimriz.core.clicks.clicks import LABEL_BYTES_MAX
from nimriz.core.routing.signposts import CLICK, Seen, Signpost
from nimriz.core.routing.targets import Target, key_of

SCAN = "qr_scan"
_PAIRS_MAX = 200
_QR = b"nr=qr"
_NEVER_FORWARDED = frozenset({b"nim_ct", b"nr", b"p"})
_UTM = {b"utm_source": 0, b"utm_medium": 1, b"utm_campaign": 2, b"utm_term": 3, b"utm_content": 4}


def why_no_token(signpost: Signpost, target: Target, *, crawler: bool, private: bool) -> str | None:
    """Why this visitor gets no token, '' when the link does not track; None when there may be one."""
    if not signpost.tracked:
        return ""
    if target.suppression:
        return target.suppression
    if crawler:
        return "bot"
    return "privacy" if private and signpost.privacy_suppresses else None


def location(target: Target, forwarded: bytes, token: bytes) -> tuple[bytes, bool]:
    """Where to send the visitor, and whether the token is in it.

    When it would be too long the forwarded parameters go first, then the token.
    """
    if not (forwarded or token):
        return target.destination, False
    before, fragment = target.head + target.separator, target.fragment
    if forwarded and token:
        whole = before + forwarded + b"&" + token + fragment
        if len(whole) <= DESTINATION_BYTES_MAX:
            return whole, True
    whole = before + (token or forwarded) + fragment
    return (whole, bool(token)) if len(whole) <= DESTINATION_BYTES_MAX else (target.destination, False)


def read_query(signpost: Signpost, target: Target, query: bytes) -> tuple[Seen, bytes]:
    """What the visitor's query says about the click, and the part of it that is forwarded, as sent."""
    if not query:
        return signpost.seen, b""
    touch_type, placement = CLICK, ""
    utm = ["", "", "", "", ""]
    forwarded = []
    forward = signpost.forward_query and not target.suppression
    for pair in _pairs(query):
        key = key_of(pair)
        index = _UTM.get(key)
        if index is not None:
            utm[index] = utm[index] or _label(pair)
        elif key == b"nr":
            if pair == _QR:
                touch_type = SCAN
        elif key == b"p":
            placement = placement or _label(pair)
        if forward and key not in target.own_keys and _may_pass(pair):
            forwarded.append(pair)
    # The visitor's own values go before the link's.
    kept = tuple(own or links for own, links in zip(utm, signpost.seen.utm, strict=True))
    return Seen(touch_type, placement, kept), b"&".join(forwarded)


def parameters(query: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """The decoded names and values that rules may ask for."""
    return tuple((key_of(pair), _value(pair)) for pair in _pairs(query))


def is_scan(query: bytes) -> bool:
    """Whether the visit came by a QR code."""
    return _QR in _pairs(query)


def _pairs(query: bytes) -> Iterator[bytes]:
    # What comes after so many is neither read nor passed on: nobody's query may keep the others waiting.
    return (pair for pair in query.split(b"&", _PAIRS_MAX)[:_PAIRS_MAX] if pair and len(pair) <= DESTINATION_BYTES_MAX)


def _may_pass(pair: bytes) -> bool:
    """Whether a parameter may be passed on: also where a server takes ';' for '&', none of ours is in it.

    A '#' has no place in a query; passed on, it would begin a fragment before the token.
    """
    return b"#" not in pair and not any(key_of(piece).lower() in _NEVER_FORWARDED for piece in pair.split(b";"))


def _value(pair: bytes) -> bytes:
    return unquote_to_bytes(pair.partition(b"=")[2].replace(b"+", b" "))


def _label(pair: bytes) -> str:
    """A captured value: decoded, cut to 255 bytes, without control characters."""
    value = _value(pair)[:LABEL_BYTES_MAX]
    return "".join(c for c in value.decode("utf-8", "ignore") if c.isprintable())
