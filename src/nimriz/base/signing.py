"""Signed requests: who may post a conversion, and how our own webhooks are signed.

Owns the verdict on the two headers X-Nim-Timestamp and X-Nim-Signature over a raw body (contract 3.1). Promises
to be total: any bytes in, exactly one verdict out, SignatureRefused or a match and nothing else. No comparison
stops early, each secret costs one HMAC, and a workspace without secrets costs one too.

The signature is `v1=` and the lower-case hex of HMAC-SHA256 (RFC 2104) over timestamp, '.', raw body.
"""

import hmac
import re
import secrets as random_source
from binascii import unhexlify
from collections.abc import Sequence
from typing import NamedTuple

TOLERANCE_S = 300
"""How far a timestamp may be from the server's clock, either side, in seconds; the bound itself passes."""

SIGNATURES_MAX = 8
"""Most `v1` entries in one signature header."""

TIMESTAMP_DIGITS_MAX = 15

# An HMAC under this key is computed where there is no secret: the answer takes as long and can match nobody,
# since the key never leaves the process.
_NOBODY = random_source.token_bytes(32)

_is_v1 = re.compile(rb"v1=[0-9a-f]{64}").fullmatch
_is_other_version = re.compile(rb"(?!v1=)[A-Za-z0-9_.-]+=.*", re.DOTALL).fullmatch


class SignatureRefused(ValueError):
    """The request is not shown to be authentic.

    `code` is `timestamp_missing`, `timestamp_malformed`, `timestamp_outside_tolerance`, `signature_missing`,
    `signature_malformed` or `signature_mismatch`.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class SignedHeaders(NamedTuple):
    """Well-formed, timely headers, nothing yet believed.

    `timestamp` is the digits as sent (they were signed as text); `signatures` are 1 to 8 raw digests
    of 32 bytes.
    """

    timestamp: bytes
    signatures: tuple[bytes, ...]


def read_headers(timestamps: Sequence[bytes], signatures: Sequence[bytes], now_s: int) -> SignedHeaders:
    """Judge all values of each header, before the body is read; `now_s` is the server's clock, Unix seconds.

    A header sent twice is malformed; an empty one is missing. Raises SignatureRefused with the first that
    holds of `timestamp_missing`, `timestamp_malformed`, `timestamp_outside_tolerance`, `signature_missing`,
    `signature_malformed`.
    """
    timestamp = _only(timestamps, "timestamp")
    # bytes.isdigit() knows ASCII digits only, unlike str.isdigit().
    if len(timestamp) > TIMESTAMP_DIGITS_MAX or not timestamp.isdigit():
        raise SignatureRefused("timestamp_malformed")
    if abs(int(timestamp) - now_s) > TOLERANCE_S:
        raise SignatureRefused("timestamp_outside_tolerance")
    header = _only(signatures, "signature")
    if _is_v1(header) is not None:  # nearly every request
        return SignedHeaders(timestamp, (unhexlify(header[3:]),))
    return SignedHeaders(timestamp, _read_list(header))


def _only(values: Sequence[bytes], header: str) -> bytes:
    if len(values) > 1:
        raise SignatureRefused(f"{header}_malformed")
    if not values or not values[0]:
        raise SignatureRefused(f"{header}_missing")
    return values[0]


def _read_list(header: bytes) -> tuple[bytes, ...]:
    """The digests of a header that is not simply one `v1=…`.

    Strict on purpose. A broken v1 beside a good one, or an empty element, is a bug or a probe on the sender's
    side; to accept it would make the verdict depend on which half of the header is read. An element of another
    version is ignored whatever it says, so that senders may add one before we know it, but it must look like
    `name=…`: bare hex is a mistake worth naming. Versions are exact, so 'V1=' is another one.
    """
    if not header.strip(b" \t"):
        raise SignatureRefused("signature_missing")
    digests = []
    for element in header.split(b","):
        entry = element.strip(b" \t")
        if _is_v1(entry) is not None:
            digests.append(unhexlify(entry[3:]))
        elif _is_other_version(entry) is None:
            raise SignatureRefused("signature_malformed")
    if not 1 <= len(digests) <= SIGNATURES_MAX:
        raise SignatureRefused("signature_malformed")
    return tuple(digests)


def matches(secret: bytes, signed: SignedHeaders, body: bytes) -> bool:
    """Whether any of the signatures was made with `secret` over this timestamp and raw body.

    `secret` is the whole secret as UTF-8, prefix included. An empty secret matches nothing.
    """
    return _matches(secret, signed, signed.timestamp + b"." + body)


def _matches(secret: bytes, signed: SignedHeaders, message: bytes) -> bool:
    # Anybody can sign with an empty key, so one that slipped into a list must never count.
    expected = hmac.digest(secret or _NOBODY, message, "sha256")
    found = False
    for signature in signed.signatures:
        found |= hmac.compare_digest(expected, signature)
    return found


def first_match(secrets: Sequence[bytes], signed: SignedHeaders, body: bytes) -> int:
    """The index of the first secret that signed this; for callers that read the headers before the body.

    Every secret is tried, found or not. Raises SignatureRefused `signature_mismatch`.
    """
    message = signed.timestamp + b"." + body
    if not secrets:
        _matches(_NOBODY, signed, message)
        raise SignatureRefused("signature_mismatch")
    found = [_matches(secret, signed, message) for secret in secrets]
    if True not in found:
        raise SignatureRefused("signature_mismatch")
    return found.index(True)


def verify(
    secrets: Sequence[bytes],
    timestamps: Sequence[bytes],
    signatures: Sequence[bytes],
    body: bytes,
    now_s: int,
) -> int:
    """The index of the first of `secrets` that signed this request: `read_headers`, then `first_match`.

    Raises SignatureRefused, with any of its codes, and nothing else.
    """
    return first_match(secrets, read_headers(timestamps, signatures, now_s), body)


def sign(secret: bytes, timestamp_s: int, body: bytes) -> str:
    """The header value `v1=…` for a raw body sent at `timestamp_s`.

    Unix seconds, 0 to 10**15 - 1; ValueError otherwise and for an empty secret.
    """
    if not secret:
        raise ValueError("a secret must not be empty")
    if not 0 <= timestamp_s < 10**TIMESTAMP_DIGITS_MAX:
        raise ValueError("timestamp out of range")
    return "v1=" + hmac.digest(secret, b"%d.%b" % (timestamp_s, body), "sha256").hex()
