"""Destinations: how a parameter is appended, and when it must not be.

Owns byte-preserving append and suppression (contract 2.1). Promises that not one existing character of a
destination changes, wherever something is inserted, and that no text makes these functions raise. A destination
is read as RFC 3986 says: the fragment begins at the first '#', the query at the first '?' before it.

When in doubt, suppression says no: a token less costs one attribution, a token too many breaks a signed link.
So a query is also split at ';' (some servers do), a '+' in a name is a space, tabs and line ends are skipped (as
browsers skip them), and spaces and brackets separate words too (`user[token]`, `token[]`). What is
percent-encoded separates no parameters: `?next=%2F%3Fa%26token%3D1` has one, `next`.
"""

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Iterator, Mapping
from urllib.parse import quote, unquote

from nimriz.base.tokens import TOKEN_CHARS

DESTINATION_BYTES_MAX = 8192
"""Longest URL that we send a visitor to, in bytes of UTF-8."""

PARAMETER = "nim_ct="

UTM_NAMES = ("source", "medium", "campaign", "term", "content")
"""The UTM parameters without their prefix, in the order in which they are appended."""

_AKAMAI = frozenset({"hdnts", "hdnea", "__token__", "__gda__"})
_AZURE_FIELDS = frozenset({"sv", "se", "sp", "sr"})

# Form fields of S3 and Cloud Storage POST policies that mean nothing else. `key`, `acl`, `bucket` and
# `redirect` are such fields too, but everyday words in other queries. The x-oss-* fields are left to their
# signature, which is an integrity_token.
_POLICY = frozenset({
    "policy", "x-amz-security-token", "x-amz-algorithm", "x-amz-date", "x-goog-algorithm",
    "x-goog-credential", "x-goog-date", "success_action_redirect", "success_action_status",
})  # fmt: skip

_INTEGRITY = frozenset({
    "hmac", "signature", "sig", "token", "checksum", "hash", "nonce", "otp", "ticket", "samlresponse",
    "payment_intent_client_secret",
})  # fmt: skip

_SKIPPED_BY_BROWSERS = {ord(char): None for char in "\t\r\n"}
_split_parameters = re.compile("[&;]").split
_split_segments = re.compile(r"[-_.\[\]\s]+").split
# Where a new word begins: a capital after anything else (resetToken, accessTOKEN, oauth2Token), and the last
# capital of a run before a small letter (CSRFToken).
_split_case = re.compile(r"(?<=[^A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])").split
# The last part is empty in an unsecured JWT, the middle one where the payload travels apart.
_match_jwt = re.compile(r"([A-Za-z0-9_-]+)=*\.[A-Za-z0-9_-]*=*\.[A-Za-z0-9_-]*=*").fullmatch


def split_for_append(destination: str) -> tuple[str, str]:
    """Where an addition goes: all before the first '#' with the separator it needs, and the rest from '#' on.

    The separator is '?' without a query, nothing where the query is empty or ends in '&', else '&'.
    """
    before, hash_sign, fragment = destination.partition("#")
    _, question_mark, query = before.partition("?")
    if not question_mark:
        separator = "?"
    elif not query or query.endswith("&"):
        separator = ""
    else:
        separator = "&"
    return before + separator, hash_sign + fragment


def append(destination: str, addition: str) -> str:
    """`destination` with `addition` (already encoded, `a=1&b=2`) as its last parameters; '' changes nothing.

    Appends whatever the destination says: ask `suppression` first.
    """
    if not addition:
        return destination
    before, rest = split_for_append(destination)
    return before + addition + rest


def append_token(destination: str, token: str) -> tuple[str, str | None]:
    """The destination to send, and the reason why it is the unchanged one (None: the token was appended)."""
    reason = _suppression(destination, len(PARAMETER) + _bytes_count(token))
    return (append(destination, PARAMETER + token), None) if reason is None else (destination, reason)


def utm_addition(destination: str, utm: Mapping[str, str]) -> str:
    """The UTM parameters that a destination does not have yet, encoded, in their order; '' when there are none."""
    query = destination.partition("#")[0].partition("?")[2]
    present = {unquote(piece.partition("=")[0].replace("+", " ")) for piece in query.split("&")}
    wanted = [name for name in UTM_NAMES if utm.get(name) and f"utm_{name}" not in present]
    return "&".join(f"utm_{name}={quote(utm[name], safe='')}" for name in wanted)


def suppression(destination: str, beside_bytes: int = 0) -> str | None:
    """Why nothing may be appended to this stored destination, or None.

    The first of `signed_aws`, `signed_gcs`, `signed_cloudfront`, `signed_azure`, `signed_akamai`,
    `signed_alibaba`, `policy`, `integrity_token`, `already_present`, `not_http`, `too_long` (with a token the
    result would pass DESTINATION_BYTES_MAX; `beside_bytes` is what else is appended, with its separator). The
    owner's and the visitor's reasons are not known here.
    """
    return _suppression(destination, len(PARAMETER) + TOKEN_CHARS + beside_bytes)


def _suppression(destination: str, addition_bytes: int) -> str | None:
    before, rest = split_for_append(destination)
    query = before.partition("?")[2].translate(_SKIPPED_BY_BROWSERS)
    parameters = list(_parameters(query))
    spelled = [name for name, _ in parameters]
    names = {name.lower() for name in spelled}
    reason = _signed(names)
    if reason is not None:
        return reason
    if names & _POLICY:
        return "policy"
    if _has_integrity_token(spelled) or any(_is_jwt(value) for _, value in parameters):
        return "integrity_token"
    if "nim_ct" in names:
        return "already_present"
    if destination.partition(":")[0].lower() not in ("http", "https"):
        return "not_http"
    if _bytes_count(before) + addition_bytes + _bytes_count(rest) > DESTINATION_BYTES_MAX:
        return "too_long"
    return None


def _bytes_count(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _parameters(query: str) -> Iterator[tuple[str, str]]:
    """Decoded names, in their own case, and values. Without '=' a parameter is name and value at once."""
    for piece in _split_parameters(query):
        name, equals, value = piece.partition("=")
        # unquote leaves broken escapes alone and puts U+FFFD for bytes that are no UTF-8: neither raises.
        yield unquote(name.replace("+", " ")).strip(), unquote(value if equals else name)


def _signed(names: set[str]) -> str | None:
    """The storage service or network whose signature covers the whole query."""
    signature = "signature" in names
    if names & {"x-amz-signature", "x-amz-credential"} or (signature and "awsaccesskeyid" in names):
        return "signed_aws"
    if "x-goog-signature" in names or (signature and "googleaccessid" in names):
        return "signed_gcs"
    if "key-pair-id" in names and (signature or "policy" in names):
        return "signed_cloudfront"
    if "sig" in names and names & _AZURE_FIELDS:
        return "signed_azure"
    if names & _AKAMAI:
        return "signed_akamai"
    if signature and "ossaccesskeyid" in names:
        return "signed_alibaba"
    return None


def _has_integrity_token(names: list[str]) -> bool:
    words = {word for name in names for word in _spellings(name)}
    return bool(words & _INTEGRITY) or {"code", "state"} <= words


def _spellings(name: str) -> tuple[str, str, str]:
    """What a name may be recognised by, in lower case: itself, its last segment, that segment's last word.

    The segment is asked as well as the word, so that odd capitals (`tOKEN`) still compare without case.
    """
    segments = [segment for segment in _split_segments(name) if segment]
    last = segments[-1] if segments else ""
    return name.lower(), last.lower(), _split_case(last)[-1].lower()


def _is_jwt(value: str) -> bool:
    match = _match_jwt(value)
    if match is None:
        return False
    header = match.group(1)
    try:
        text = urlsafe_b64decode(header + "=" * (-len(header) % 4)).decode("utf-8")
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
