"""Diagnosis: the mistake that was planted is the one that is named, and a right signature is left in peace."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nimriz.base import signing
from nimriz.base.diagnosis import MISTAKES, Secrets, diagnose

SECRET = "nimsec_live_" + base64.urlsafe_b64encode(bytes(range(200, 232))).decode().rstrip("=")
OLDER = "nimsec_live_" + base64.urlsafe_b64encode(bytes(range(100, 132))).decode().rstrip("=")
OTHER = "nimsec_live_" + base64.urlsafe_b64encode(bytes(range(32))).decode().rstrip("=")
SECRETS = Secrets(SECRET, (OLDER,), (OTHER,))
TIMESTAMP = 1_795_428_000
BODY = '{"event_name":"sale","event_id":"s-1","custom_data":{"value":129.90,"note":"Zürich / <b>"}}'.encode()
EXAMPLES = int(os.environ.get("NIMRIZ_LAWS_EXAMPLES", "60"))


def mac(body: bytes, secret: str | bytes = SECRET, *, joined: bytes | None = None, algorithm: str = "sha256") -> bytes:
    key = secret.encode() if isinstance(secret, str) else secret
    return hmac.digest(key, b"%d.%b" % (TIMESTAMP, body) if joined is None else joined, algorithm)


def told(signature: str, body: bytes = BODY, timestamp: str = str(TIMESTAMP)) -> set[str]:
    return set(diagnose(SECRETS, timestamp, signature, body))


def v1(digest: bytes) -> str:
    return "v1=" + digest.hex()


T = b"%d" % TIMESTAMP
PLANTED: dict[str, Callable[[bytes], str]] = {
    "timestamp_not_signed": lambda body: v1(mac(body, joined=body)),
    "body_not_signed": lambda body: v1(mac(body, joined=T)),
    "separator_colon": lambda body: v1(mac(body, joined=T + b":" + body)),
    "separator_comma": lambda body: v1(mac(body, joined=T + b"," + body)),
    "separator_newline": lambda body: v1(mac(body, joined=T + b"\n" + body)),
    "separator_space": lambda body: v1(mac(body, joined=T + b" " + body)),
    "separator_missing": lambda body: v1(mac(body, joined=T + body)),
    "order_swapped": lambda body: v1(mac(body, joined=body + b"." + T)),
    "version_in_message": lambda body: v1(mac(body, joined=b"v1:" + T + b":" + body)),
    "double_hash": lambda body: v1(mac(body, joined=hashlib.sha256(T + b"." + body).digest())),
    "not_hmac": lambda body: v1(hashlib.sha256(SECRET.encode() + T + b"." + body).digest()),
    "algorithm_md5": lambda body: v1(mac(body, algorithm="md5")),
    "algorithm_sha1": lambda body: v1(mac(body, algorithm="sha1")),
    "algorithm_sha384": lambda body: v1(mac(body, algorithm="sha384")),
    "algorithm_sha512": lambda body: v1(mac(body, algorithm="sha512")),
    "secret_without_prefix": lambda body: v1(mac(body, SECRET.removeprefix("nimsec_live_"))),
    "secret_decoded": lambda body: v1(mac(body, bytes(range(200, 232)))),
    "secret_with_space": lambda body: v1(mac(body, SECRET + "\n")),
    "secret_hashed": lambda body: v1(mac(body, hashlib.sha256(SECRET.encode()).hexdigest())),
    "older_secret": lambda body: v1(mac(body, OLDER)),
    "other_workspace_secret": lambda body: v1(mac(body, OTHER)),
    "signature_missing": lambda body: " ",
    "signature_without_version": lambda body: mac(body).hex(),
    "signature_upper_case": lambda body: "v1=" + mac(body).hex().upper(),
    "signature_base64": lambda body: "v1=" + base64.b64encode(mac(body)).decode(),
    "signature_base64url": lambda body: "v1=" + base64.urlsafe_b64encode(mac(body)).decode().rstrip("="),
    "signature_malformed": lambda body: v1(mac(body))[:-1],
    "timestamp_signed_in_milliseconds": lambda body: v1(mac(body, joined=T + b"417." + body)),
    "body_newline_added": lambda body: v1(mac(body + b"\n")),
    "body_bom_added": lambda body: v1(mac(b"\xef\xbb\xbf" + body)),
    "body_other_encoding": lambda body: v1(mac(body.decode().encode("utf-16-le"))),
    "body_empty": lambda body: v1(mac(b"")),
    "unexplained": lambda body: v1(mac(body, "quite another")),
}
# Of these the body as it is sent has something that what was signed has not.
OF_BODIES: dict[str, tuple[bytes, bytes]] = {
    "body_compact": (b'{"a": 1, "b": [2]}', b'{"a":1,"b":[2]}'),
    "body_spaced": (b'{"a":1,"b":[2]}', b'{"a": 1, "b": [2]}'),
    "body_pretty": (b'{"a":1,"b":[]}', b'{\n\t"a": 1,\n\t"b": []\n}'),
    "body_keys_sorted": (b'{"b":1,"a":2}', b'{"a":2,"b":1}'),
    "body_duplicate_keys_dropped": (b'{"b":1,"a":2,"b":3}', b'{"b":3,"a":2}'),
    "body_unicode_escaped": ('{"a":"ü"}'.encode(), b'{"a":"\\u00FC"}'),
    "body_unicode_raw": (b'{"a":"\\u00fc"}', '{"a":"ü"}'.encode()),
    "body_escapes": (b'{"a":"b/c"}', b'{"a":"b\\/c"}'),
    "body_numbers_rewritten": (b'{"a":129.90,"b":1e2}', b'{"a":129.9,"b":100}'),
    "body_newline_removed": (b'{"a":1}\n', b'{"a":1}'),
    "body_trimmed": (b'  {"a":1}', b'{"a":1}'),
    "body_line_ends": (b'{\n"a":1}', b'{\r\n"a":1}'),
    "body_bom_removed": (b'\xef\xbb\xbf{"a":1}', b'{"a":1}'),
}
OF_TIMES = {
    "timestamp_missing": ("", T),
    "timestamp_malformed": ("2026-11-23T10:00:00Z", b"2026-11-23T10:00:00Z"),
    "timestamp_milliseconds": (f"{TIMESTAMP}000", T + b"000"),
    "timestamp_signed_in_seconds": (f"{TIMESTAMP}000", T),
}


@pytest.mark.parametrize("mistake", PLANTED)
def test_a_planted_mistake_is_named(mistake: str) -> None:
    assert told(PLANTED[mistake](BODY)) == {mistake}


@pytest.mark.parametrize("mistake", OF_BODIES)
def test_a_body_written_again_is_named(mistake: str) -> None:
    sent, signed = OF_BODIES[mistake]
    assert told(v1(mac(signed)), sent) == {mistake}


@pytest.mark.parametrize("mistake", OF_TIMES)
def test_a_wrong_timestamp_is_named(mistake: str) -> None:
    sent, signed = OF_TIMES[mistake]
    assert mistake in told(v1(mac(b"", joined=signed + b"." + BODY)), timestamp=sent)


def test_every_mistake_that_has_words_is_tried_here() -> None:
    assert {*PLANTED, *OF_BODIES, *OF_TIMES} == MISTAKES.keys()


def test_two_mistakes_at_once_are_both_named() -> None:
    spaced = json.dumps(json.loads(b'{"a":1,"b":2}')).encode()
    assert told(v1(mac(spaced, SECRET.removeprefix("nimsec_live_"))), b'{"a":1,"b":2}') == {
        "secret_without_prefix", "body_spaced",
    }  # fmt: skip
    assert told(base64.b64encode(mac(BODY, joined=BODY)).decode()) == {
        "signature_without_version", "signature_base64", "timestamp_not_signed",
    }  # fmt: skip


def test_rubbish_beside_a_right_signature_is_named() -> None:
    assert told(f"{v1(mac(BODY))},rubbish") == {"signature_malformed"}


@given(st.binary(max_size=200), st.text(max_size=80), st.text(max_size=20))
@settings(max_examples=EXAMPLES, deadline=None)
def test_whatever_is_sent_is_answered_with_known_mistakes(body: bytes, signature: str, timestamp: str) -> None:
    codes = diagnose(SECRETS, timestamp, signature, body)
    assert codes
    assert set(codes) <= MISTAKES.keys()


# --- a varied corpus --------------------------------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
numbers = st.one_of(
    st.integers(),
    st.integers(-(10**30), 10**30),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.1, 1e21, 1e-7, 100.0]),
)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
bodies = st.dictionaries(texts, values, max_size=6)
spaces = st.text(" \t\r\n", max_size=3)


@st.composite
def odd(draw: st.DrawFn, value: Any) -> str:
    """A JSON text with whitespace in odd places."""
    text = draw(st.sampled_from([json.dumps(value), json.dumps(value, ensure_ascii=False)]))
    return draw(spaces) + text.replace(", ", "," + draw(spaces)).replace(": ", ":" + draw(spaces)) + draw(spaces)


def styles() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "indent": st.sampled_from([None, 2, 4, "\t"]),
            "sort_keys": st.booleans(),
            "ensure_ascii": st.booleans(),
        }
    )


def written(value: Any, style: dict[str, Any]) -> bytes:
    compact = style["indent"] is None and style["sort_keys"] != style["ensure_ascii"]
    return json.dumps(value, separators=(",", ":") if compact else None, **style).encode()


@given(bodies, styles(), st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_body_that_was_parsed_and_written_again_is_explained(
    value: dict[str, Any], style: dict[str, Any], data: st.DataObject
) -> None:
    sent, signed = data.draw(odd(value)).encode(), written(value, style)
    codes = diagnose(SECRETS, str(TIMESTAMP), v1(mac(signed)), sent)
    if signed == sent:
        assert codes == ()
    else:
        assert codes
        assert all(code.startswith("body_") for code in codes), codes


@given(bodies, styles(), st.sampled_from(sorted(PLANTED.keys() - {"unexplained", "body_other_encoding"})))
@settings(max_examples=EXAMPLES, deadline=None)
def test_over_any_body_the_planted_mistake_is_named_and_a_right_signature_is_left_in_peace(
    value: dict[str, Any], style: dict[str, Any], mistake: str
) -> None:
    body = written(value, style)
    assert set(diagnose(SECRETS, str(TIMESTAMP), PLANTED[mistake](body), body)) == {mistake}
    assert diagnose(SECRETS, str(TIMESTAMP), signing.sign(SECRET.encode(), TIMESTAMP, body), body) == ()
