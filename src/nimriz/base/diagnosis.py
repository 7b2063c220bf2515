"""Diagnosis: which common mistake explains that a signature does not fit its request.

Pure, and for whoever holds the secret: it tries what senders usually get wrong (contract 3.1 says what is right), one
mistake first, then two together, and names those that make the signature fit. It never tells a right signature. Of a
right one it says nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from nimriz.base import signing
from nimriz.base.spellings import BYTES_MAX, spellings

MILLISECONDS_MIN = 10**11
"""A timestamp from here on is in milliseconds: as seconds it would be the year 5138."""

_DIGESTS = {20: "sha1", 32: "sha256", 48: "sha384", 64: "sha512", 16: "md5"}
_BOM = b"\xef\xbb\xbf"
_PREFIX = re.compile(r"nimsec_(?:live|test)_")
_NAMED = re.compile(r"([A-Za-z][A-Za-z0-9-]*)[=:](?=.)", re.DOTALL)


class Words(NamedTuple):
    """What a mistake is, and what to do about it."""

    sentence: str
    advice: str


_AS_SENT = "Sign the very bytes that are sent: write the body once, sign it, send it."
_WHOLE = "The key is the whole secret as text, nimsec_ included, as UTF-8."
_MESSAGE = "The message is the timestamp, a full stop, and the raw body."
_HEX = "Send v1= and 64 lower-case hex digits."

MISTAKES: dict[str, Words] = {
    "timestamp_missing": Words("There is no timestamp.", "Send X-Nim-Timestamp: the Unix time in seconds."),
    "timestamp_malformed": Words("The timestamp is not 1 to 15 digits.", "Send the Unix time in seconds, and no more."),
    "timestamp_milliseconds": Words("The timestamp is in milliseconds.", "Divide by 1000, and drop the fraction."),
    "timestamp_signed_in_milliseconds": Words(
        "The timestamp was signed in milliseconds and sent in seconds.", "Sign the text that is sent in the header."
    ),
    "timestamp_signed_in_seconds": Words(
        "The timestamp was signed in seconds and sent in milliseconds.", "Sign and send seconds, the same text."
    ),
    "timestamp_not_signed": Words("Only the body was signed, without the timestamp.", _MESSAGE),
    "body_not_signed": Words("The timestamp was signed, without the body.", _MESSAGE),
    "separator_colon": Words("Timestamp and body were joined by a colon.", _MESSAGE),
    "separator_comma": Words("Timestamp and body were joined by a comma.", _MESSAGE),
    "separator_newline": Words("Timestamp and body were joined by a line break.", _MESSAGE),
    "separator_space": Words("Timestamp and body were joined by a space.", _MESSAGE),
    "separator_missing": Words("Timestamp and body were joined by nothing.", _MESSAGE),
    "order_swapped": Words("The body was signed before the timestamp.", _MESSAGE),
    "version_in_message": Words("The version was made part of what is signed.", _MESSAGE),
    "double_hash": Words("A hash of the message was signed, or a signature was signed again.", _MESSAGE),
    "not_hmac": Words("It is a plain hash of secret and message.", "Use HMAC (RFC 2104) with SHA-256."),
    "algorithm_md5": Words("It is an MD5.", "Use HMAC with SHA-256."),
    "algorithm_sha1": Words("It was made with SHA-1.", "Use HMAC with SHA-256."),
    "algorithm_sha384": Words("It was made with SHA-384.", "Use HMAC with SHA-256."),
    "algorithm_sha512": Words("It was made with SHA-512.", "Use HMAC with SHA-256."),
    "secret_without_prefix": Words("The secret was used without its prefix.", _WHOLE),
    "secret_decoded": Words("The secret was decoded from base64url and used as bytes.", _WHOLE),
    "secret_with_space": Words("The secret was used with a line break, a space or quotes around it.", _WHOLE),
    "secret_hashed": Words("A hash of the secret was used as the key.", _WHOLE),
    "older_secret": Words("It was made with an older secret.", "Sign with a secret that is live today."),
    "other_workspace_secret": Words(
        "It was made with the secret of another workspace.", "Use the secret of the workspace in the address."
    ),
    "signature_missing": Words("There is no signature.", "Send X-Nim-Signature: v1= and 64 lower-case hex digits."),
    "signature_without_version": Words("The signature does not begin with v1=.", _HEX),
    "signature_upper_case": Words("The hex digits are in upper case.", _HEX),
    "signature_base64": Words("The signature is in base64.", _HEX),
    "signature_base64url": Words("The signature is in base64url.", _HEX),
    "signature_malformed": Words("The signature is in no form that is known here: cut off, or something else.", _HEX),
    "body_compact": Words("What was signed is the body written again without spaces.", _AS_SENT),
    "body_spaced": Words("What was signed is the body written again with spaces after commas and colons.", _AS_SENT),
    "body_pretty": Words("What was signed is the body written again with line breaks and indents.", _AS_SENT),
    "body_keys_sorted": Words("What was signed has its keys sorted.", _AS_SENT),
    "body_duplicate_keys_dropped": Words("What was signed has a key once that the body has twice.", _AS_SENT),
    "body_unicode_escaped": Words(
        "What was signed has characters as \\u escapes that the body has as they are.", _AS_SENT
    ),
    "body_unicode_raw": Words("What was signed has characters as they are that the body has as escapes.", _AS_SENT),
    "body_escapes": Words("What was signed has slashes, or < > &, escaped that the body has as they are.", _AS_SENT),
    "body_numbers_rewritten": Words(
        "What was signed has numbers that were read and written again, such as 129.9 for 129.90.", _AS_SENT
    ),
    "body_newline_added": Words("What was signed ends in a line break that the body has not.", _AS_SENT),
    "body_newline_removed": Words("What was signed lacks the line break at the end of the body.", _AS_SENT),
    "body_trimmed": Words("What was signed lacks the spaces at the beginning or end of the body.", _AS_SENT),
    "body_line_ends": Words("What was signed has other line ends: LF for CRLF, or CRLF for LF.", _AS_SENT),
    "body_bom_added": Words("What was signed begins with a byte order mark that the body has not.", _AS_SENT),
    "body_bom_removed": Words("What was signed lacks the byte order mark of the body.", _AS_SENT),
    "body_other_encoding": Words("What was signed is the body in another encoding than UTF-8.", _AS_SENT),
    "body_empty": Words("What was signed is an empty body.", _AS_SENT),
    "unexplained": Words(
        "None of the known mistakes explains it: another secret, another body, or a signature made of something else.",
        "Compare secret, timestamp and body with what the sender had, byte for byte.",
    ),
}

Codes = tuple[str, ...]


class Secrets(NamedTuple):
    """The secret that should have signed, older ones of the workspace, and those of other workspaces."""

    current: str
    older: Sequence[str] = ()
    others: Sequence[str] = ()


def diagnose(secrets: Secrets, timestamp: str, signature: str, body: bytes) -> Codes:
    """The mistakes, as keys of MISTAKES, that make this signature fit; none for a right one.

    Takes well under a second for a body of 64 KiB, and some seconds for one of 2 MiB.
    """
    wrong_time = _wrong_time(timestamp)
    if not signature.strip():
        return (*wrong_time, "signature_missing")
    sent = timestamp.encode("utf-8", "surrogateescape")
    if not wrong_time and _right(secrets.current, sent, signature, body):
        return ()
    digests = list(_digests(signature))
    if not digests:
        return (*wrong_time, "signature_malformed")
    found = _search(secrets, sent, digests, body)
    if found is None:
        return (*wrong_time, "unexplained")
    # It fits as it is, so something beside it made the header malformed.
    return tuple(dict.fromkeys((*wrong_time, *found))) or ("signature_malformed",)


def _wrong_time(timestamp: str) -> Codes:
    if not timestamp:
        return ("timestamp_missing",)
    if not (timestamp.isascii() and timestamp.isdigit()) or len(timestamp) > signing.TIMESTAMP_DIGITS_MAX:
        return ("timestamp_malformed",)
    return ("timestamp_milliseconds",) if int(timestamp) >= MILLISECONDS_MIN else ()


def _right(secret: str, timestamp: bytes, signature: str, body: bytes) -> bool:
    try:
        signing.verify(
            [secret.encode()], [timestamp], [signature.encode("utf-8", "surrogateescape")], body, int(timestamp)
        )
    except signing.SignatureRefused:
        return False
    return True


# --- the signature as it was sent -------------------------------------------------------------------------------


def _digests(signature: str) -> Iterator[tuple[Codes, bytes]]:
    """(what is wrong with its form, the digest) of each element that can be read as one."""
    for element in signature.split(","):
        text = element.strip().strip("\"'")
        codes: Codes = ()
        if text.startswith("v1="):
            text = text[3:]
        else:
            codes = ("signature_without_version",)
            text = _NAMED.sub("", text, count=1)
        for form, digest in _decoded(text.strip()):
            if len(digest) in _DIGESTS:
                algorithm = _DIGESTS[len(digest)]
                by = () if algorithm == "sha256" else (f"algorithm_{algorithm}",)
                yield (*codes, *form, *by), digest


def _decoded(text: str) -> Iterator[tuple[Codes, bytes]]:
    if re.fullmatch(r"(?:[0-9a-fA-F]{2})+", text):
        upper = text != text.lower()
        yield (("signature_upper_case",) if upper else ()), bytes.fromhex(text)
        if len(text) // 2 in _DIGESTS:
            return
    if re.fullmatch(r"[A-Za-z0-9+/_-]+={0,2}", text):
        url = "-" in text or "_" in text or ("=" not in text and len(text) % 4 != 0)
        plain = text.rstrip("=").replace("-", "+").replace("_", "/")
        try:
            yield (
                ("signature_base64url" if url else "signature_base64",),
                base64.b64decode(plain + "=" * (-len(plain) % 4)),
            )
        except binascii.Error:
            return


# --- what may have been signed, and by what ---------------------------------------------------------------------

Sign = Callable[[bytes, bytes, bytes, str], bytes]
"""(key, timestamp, body, algorithm) to a digest."""


def _joined(join: Callable[[bytes, bytes], bytes]) -> Sign:
    return lambda key, timestamp, body, algorithm: hmac.digest(key, join(timestamp, body), algorithm)


def _hash_first(key: bytes, timestamp: bytes, body: bytes, algorithm: str) -> bytes:
    return hmac.digest(key, hashlib.new(algorithm, timestamp + b"." + body).digest(), algorithm)


def _hex_first(key: bytes, timestamp: bytes, body: bytes, algorithm: str) -> bytes:
    return hmac.digest(key, hashlib.new(algorithm, timestamp + b"." + body).hexdigest().encode(), algorithm)


def _body_hashed(key: bytes, timestamp: bytes, body: bytes, algorithm: str) -> bytes:
    return hmac.digest(key, timestamp + b"." + hashlib.new(algorithm, body).hexdigest().encode(), algorithm)


def _signed_twice(key: bytes, timestamp: bytes, body: bytes, algorithm: str) -> bytes:
    return hmac.digest(key, hmac.digest(key, timestamp + b"." + body, algorithm), algorithm)


def _hashed_after(key: bytes, timestamp: bytes, body: bytes, algorithm: str) -> bytes:
    return hashlib.new(algorithm, hmac.digest(key, timestamp + b"." + body, algorithm)).digest()


_RIGHT = _joined(lambda timestamp, body: timestamp + b"." + body)
_WAYS: tuple[tuple[Codes, Sign], ...] = (
    (("timestamp_not_signed",), _joined(lambda _, body: body)),
    (("body_not_signed",), _joined(lambda timestamp, _: timestamp)),
    (("separator_colon",), _joined(lambda timestamp, body: timestamp + b":" + body)),
    (("separator_comma",), _joined(lambda timestamp, body: timestamp + b"," + body)),
    (("separator_newline",), _joined(lambda timestamp, body: timestamp + b"\n" + body)),
    (("separator_space",), _joined(lambda timestamp, body: timestamp + b" " + body)),
    (("separator_missing",), _joined(lambda timestamp, body: timestamp + body)),
    (("order_swapped",), _joined(lambda timestamp, body: body + b"." + timestamp)),
    (("order_swapped", "separator_missing"), _joined(lambda timestamp, body: body + timestamp)),
    (("version_in_message",), _joined(lambda timestamp, body: b"v1." + timestamp + b"." + body)),
    (("version_in_message",), _joined(lambda timestamp, body: b"v1:" + timestamp + b":" + body)),
    (("version_in_message",), _joined(lambda timestamp, body: b"v1=" + timestamp + b"." + body)),
    (("double_hash",), _hash_first),
    (("double_hash",), _hex_first),
    (("double_hash",), _body_hashed),
    (("double_hash",), _signed_twice),
    (("double_hash",), _hashed_after),
    (("not_hmac",), lambda key, timestamp, body, name: hashlib.new(name, key + timestamp + b"." + body).digest()),
    (("not_hmac",), lambda key, timestamp, body, name: hashlib.new(name, timestamp + b"." + body + key).digest()),
)


def _keys(secrets: Secrets) -> list[tuple[Codes, bytes]]:
    keys: list[tuple[Codes, bytes]] = []
    named = [((), secrets.current), *((("older_secret",), secret) for secret in secrets.older)]
    named += [(("other_workspace_secret",), secret) for secret in secrets.others]
    for whose, secret in named:
        keys += [((*whose, *codes), key) for codes, key in _forms(secret)]
    first: dict[bytes, Codes] = {}
    for codes, key in sorted(keys, key=lambda pair: len(pair[0])):
        first.setdefault(key, codes)
    return [(codes, key) for key, codes in first.items() if key]


def _forms(secret: str) -> Iterator[tuple[Codes, bytes]]:
    whole = secret.encode()
    bare = _PREFIX.sub("", secret, count=1)
    yield (), whole
    yield ("secret_without_prefix",), bare.encode()
    for text in (bare, secret):
        padded = text + "=" * (-len(text) % 4)
        try:
            yield ("secret_decoded",), base64.b64decode(padded, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            continue
    for around in (whole + b"\n", whole + b"\r\n", whole + b" ", b" " + whole, b'"' + whole + b'"'):
        yield ("secret_with_space",), around
    yield ("secret_hashed",), hashlib.sha256(whole).digest()
    yield ("secret_hashed",), hashlib.sha256(whole).hexdigest().encode()


def _times(timestamp: bytes) -> list[tuple[Codes, bytes]]:
    times: list[tuple[Codes, bytes]] = [((), timestamp)]
    if timestamp.isdigit() and len(timestamp) <= signing.TIMESTAMP_DIGITS_MAX:
        if int(timestamp) >= MILLISECONDS_MIN:
            times.append((("timestamp_signed_in_seconds",), b"%d" % (int(timestamp) // 1000)))
        else:
            times.append((("timestamp_signed_in_milliseconds",), b"%d000" % int(timestamp)))
    return times


def _bodies(body: bytes) -> Iterator[tuple[Codes, bytes]]:
    """What may have been signed instead of this body, the fewest differences first."""
    yield (), body
    yield from _bytes_of(body)
    text = body.removeprefix(_BOM)
    marked: Codes = () if text == body else ("body_bom_removed",)
    try:
        decoded = text.decode()
    except UnicodeDecodeError:
        return
    if not decoded.isascii():
        for encoding in ("latin-1", "utf-16-le", "utf-16"):
            yield ("body_other_encoding",), decoded.encode(encoding, "replace")
    for codes, spelled in spellings(decoded):
        try:
            yield (*marked, *codes), spelled.encode()
        except UnicodeEncodeError:  # A lone surrogate, which only an escape can write.
            continue
        if "\n" in spelled.rstrip("\n"):
            yield (*marked, *codes, "body_line_ends"), spelled.replace("\n", "\r\n").encode()


def _bytes_of(body: bytes) -> Iterator[tuple[Codes, bytes]]:
    if body.startswith(_BOM):
        yield ("body_bom_removed",), body[len(_BOM) :]
    else:
        yield ("body_bom_added",), _BOM + body
    yield ("body_newline_added",), body + b"\n"
    yield ("body_newline_added",), body + b"\r\n"
    for end in (b"\r\n", b"\n"):
        if body.endswith(end):
            yield ("body_newline_removed",), body[: -len(end)]
    if body.strip() != body:
        yield ("body_trimmed",), body.strip()
    for swapped in (body.replace(b"\r\n", b"\n"), body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")):
        if swapped != body:
            yield ("body_line_ends",), swapped
    if body:
        yield ("body_empty",), b""


def _search(secrets: Secrets, timestamp: bytes, digests: list[tuple[Codes, bytes]], body: bytes) -> Codes | None:
    """The fewest mistakes that make one of the digests, or None."""
    keys, times = _keys(secrets), _times(timestamp)
    ways: list[tuple[Codes, Sign]] = [((), _RIGHT), *_WAYS]
    best: Codes | None = None
    for in_body, signed in _bodies(body):
        if best is not None and len(in_body) >= len(best):
            break
        for in_time, time in times:
            for in_key, key in keys:
                for in_way, way in ways:
                    others = (bool(in_time), bool(in_key), bool(in_way))
                    # Two of them together with the body as it is, one with another body.
                    if sum(others) > (1 if in_body else 2):
                        continue
                    codes = (*in_time, *in_key, *in_way, *in_body)
                    if best is not None and len(codes) >= len(best):
                        continue
                    form = _made(digests, way, key, time, signed)
                    if form is not None and (best is None or len(form) + len(codes) < len(best)):
                        best = (*form, *codes)
    if best is None and len(body) <= BYTES_MAX:
        best = _some_millisecond(keys, timestamp, digests, body)
    return best


def _made(digests: list[tuple[Codes, bytes]], way: Sign, key: bytes, timestamp: bytes, signed: bytes) -> Codes | None:
    """The form in which one of the digests was sent that this way makes, or None."""
    for algorithm in {_DIGESTS[len(digest)] for _, digest in digests}:
        made = way(key, timestamp, signed, algorithm)
        for form, digest in digests:
            if hmac.compare_digest(made, digest):
                return form
    return None


def _some_millisecond(
    keys: list[tuple[Codes, bytes]], timestamp: bytes, digests: list[tuple[Codes, bytes]], body: bytes
) -> Codes | None:
    """Whether a millisecond of the second that was sent was signed."""
    if not timestamp.isdigit() or int(timestamp) >= MILLISECONDS_MIN:
        return None
    codes, key = keys[0]
    for millisecond in range(1, 1_000):
        form = _made(digests, _RIGHT, key, b"%d%03d" % (int(timestamp), millisecond), body)
        if form is not None:
            return (*form, "timestamp_signed_in_milliseconds", *codes)
    return None
