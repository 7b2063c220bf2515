"""The click token: the facts of a click, sealed, in 78 URL-safe characters.

Owns the format `nimct_…` of contract 2.1. Promises that a token can be minted and judged without any lookup,
tells a stranger nothing, and that only tokens minted under one of the installation's keys open. Decoding is
strict: each token has exactly one spelling.

The 54 bytes: version (1), key id (1), synthetic IV (16), then encrypted: click id (16, a UUIDv7 of RFC 9562, so
it carries the click's time), link id (16), and 32 bits: window in days (top 5) and decision number (low 27).
Sealed with AES-SIV (RFC 5297), version and key id as associated data; deterministic, so no nonce can ever
repeat. 54 bytes are exactly 72 characters of base64url (RFC 4648): no padding, no spare bits.
"""

import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

TOKEN_PREFIX = "nimct_"
_PREFIX = TOKEN_PREFIX.encode("ascii")
TOKEN_CHARS = 78
"""Length of every token, prefix included."""

TOKEN_VERSION = 1
KEY_BYTES = 64
"""AES-SIV with two 256-bit halves."""

WINDOW_DAYS_MAX = 30
DECISION_BITS = 27
DECISION_MAX = 2**DECISION_BITS - 1

is_shaped = re.compile(r"nimct_[A-Za-z0-9_-]{72}").fullmatch
"""Whether a text looks like a token; only `Keyring.open` tells whether it is one."""

_TO_URLSAFE = bytes.maketrans(b"+/", b"-_")
_FROM_URLSAFE = bytes.maketrans(b"-_", b"+/")


class TokenRefused(ValueError):
    """A text is no token of ours.

    `code` is `token_malformed` (not `nimct_` and canonical base64url of a known version and length) or
    `token_forged` (does not authenticate, or names a key that we do not hold).
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class ClickToken(NamedTuple):
    """What a token says: 16-byte ids, the window (1 to 30 days), the decision (0 = the link itself)."""

    click_id: bytes
    link_id: bytes
    window_days: int
    decision: int

    @property
    def clicked_at_ms(self) -> int:
        """When the click was made, Unix milliseconds: first 48 bits of the UUIDv7 (RFC 9562 section 5.7)."""
        return int.from_bytes(self.click_id[:6], "big")


class Keyring:
    """The installation's token keys: one mints, all of them open.

    `keys` maps key ids (0 to 255) to 64 random bytes each and cannot be changed afterwards; `current` is the
    id that mints. Raises ValueError when an id, a key's length or `current` does not fit. Safe to share between
    threads.
    """

    def __init__(self, keys: Mapping[int, bytes], current: int) -> None:
        if current not in keys:
            raise ValueError("the current token key is not in the keyring")
        for key_id, key in keys.items():
            if not 0 <= key_id <= 255 or len(key) != KEY_BYTES:
                raise ValueError("a token key needs an id from 0 to 255 and 64 bytes")
        self.keys: Mapping[int, bytes] = MappingProxyType(dict(keys))
        self.current = current
        # Minting is on the redirect's path: the ciphers, and what goes with them, are made once.
        self._ciphers = {key_id: AESSIV(key) for key_id, key in self.keys.items()}
        self._encrypt = self._ciphers[current].encrypt
        self._header = bytes((TOKEN_VERSION, current))
        self._associated = [self._header]

    def mint(self, click_id: bytes, link_id: bytes, window_days: int, decision: int = 0) -> str:
        """The token of a click; the same facts give the same token.

        `window_days` 1 to 30, `decision` 0 to 2**27 - 1, ids of 16 bytes; ValueError otherwise.
        """
        return self.mint_ascii(click_id, link_id, window_days, decision).decode("ascii")

    def mint_ascii(self, click_id: bytes, link_id: bytes, window_days: int, decision: int = 0) -> bytes:
        """The same, as it goes into an address."""
        if not 1 <= window_days <= WINDOW_DAYS_MAX or not 0 <= decision <= DECISION_MAX:
            raise ValueError("window_days or decision out of range")
        if len(click_id) != 16 or len(link_id) != 16:
            raise ValueError("ids have 16 bytes")
        facts = (window_days << DECISION_BITS | decision).to_bytes(4, "big")
        sealed = self._header + self._encrypt(click_id + link_id + facts, self._associated)
        return _PREFIX + b2a_base64(sealed, newline=False).translate(_TO_URLSAFE)

    def open(self, text: str) -> ClickToken:
        """What the token says. Raises TokenRefused, and nothing else, for any other text."""
        # The pattern leaves 72 characters of one alphabet: decoding cannot fail and has one spelling.
        if is_shaped(text) is None:
            raise TokenRefused("token_malformed")
        raw = a2b_base64(text[len(TOKEN_PREFIX) :].encode("ascii").translate(_FROM_URLSAFE))
        if raw[0] != TOKEN_VERSION:
            raise TokenRefused("token_malformed")
        cipher = self._ciphers.get(raw[1])
        if cipher is None:
            raise TokenRefused("token_forged")
        try:
            plain = cipher.decrypt(raw[2:], [raw[:2]])
        except InvalidTag:
            raise TokenRefused("token_forged") from None
        facts = int.from_bytes(plain[32:], "big")
        return ClickToken(plain[:16], plain[16:32], facts >> DECISION_BITS, facts & DECISION_MAX)
