"""The verifier is total and strict, and believes nobody without a secret."""

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nimriz.base import signing
from nimriz.base.signing import (
    SIGNATURES_MAX,
    TOLERANCE_S,
    SignatureRefused,
    SignedHeaders,
    first_match,
    matches,
    read_headers,
    sign,
    verify,
)

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors" / "signing.json").read_text("utf-8"))

ALICE = b"nimsec_live_alice"
BOB = b"nimsec_live_bob"
NOW_S = 1_764_000_000
STAMP = [b"%d" % NOW_S]
BODY = b'{"event_id":"1"}'
GOOD = sign(ALICE, NOW_S, BODY).encode()
OTHER = sign(BOB, NOW_S, BODY).encode()

CODES = {
    "timestamp_missing",
    "timestamp_malformed",
    "timestamp_outside_tolerance",
    "signature_missing",
    "signature_malformed",
    "signature_mismatch",
}


def verdict(signatures: list[bytes], timestamps: list[bytes] = STAMP, secrets: list[bytes] | None = None) -> str:
    try:
        verify([ALICE] if secrets is None else secrets, timestamps, signatures, BODY, NOW_S)
    except SignatureRefused as refused:
        return refused.code
    return "ok"


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: str(case["name"]))
def test_the_vector_gets_its_verdict(case: dict[str, Any]) -> None:
    timestamps, signatures = (
        [] if case[header] is None else [case[header].encode("utf-8")] for header in ("timestamp", "signature")
    )
    secrets = [secret.encode("utf-8") for secret in case["secrets"]]
    try:
        verify(secrets, timestamps, signatures, bytes.fromhex(case["body_hex"]), case["now"])
        got = "ok"
    except SignatureRefused as refused:
        got = refused.code
    assert got == case["verdict"]


def test_a_signature_is_the_hmac_that_anybody_can_compute_from_the_contract() -> None:
    message = b"1764000000." + BODY
    assert sign(ALICE, NOW_S, BODY) == "v1=" + hmac.new(ALICE, message, hashlib.sha256).hexdigest()


@given(st.binary(min_size=1), st.integers(0, 10**15 - 1), st.binary(), st.integers(-TOLERANCE_S, TOLERANCE_S))
def test_what_is_signed_verifies_within_the_tolerance(secret: bytes, at_s: int, body: bytes, skew_s: int) -> None:
    header = sign(secret, at_s, body).encode()
    assert verify([secret], [b"%d" % at_s], [header], body, at_s + skew_s) == 0


# Pieces that come close to a good header, so that the search does not stop at the first digit.
near = st.sampled_from([b"v1=", b"v2=", b",", b" ", b"\t", b"=", GOOD, OTHER, GOOD[3:], b"a" * 64, b"\x00", b"\n"])
headers = st.lists(st.binary() | st.lists(near, max_size=6).map(b"".join), max_size=3)
stamps = st.lists(st.binary() | st.sampled_from([STAMP[0], b"0", b"1764000300", b"9" * 16]), max_size=2)


@given(st.lists(st.binary(), max_size=3), stamps, headers, st.binary(), st.integers())
def test_any_bytes_give_exactly_one_verdict(
    secrets: list[bytes], timestamps: list[bytes], signatures: list[bytes], body: bytes, now_s: int
) -> None:
    try:
        got = verify(secrets, timestamps, signatures, body, now_s)
    except SignatureRefused as refused:
        known = refused.code in CODES
    else:
        known = got in range(len(secrets))
    assert known


@given(headers)
def test_a_header_list_without_the_right_signature_is_never_accepted(signatures: list[bytes]) -> None:
    accepted = verdict(signatures) == "ok"
    assert accepted <= (len(signatures) == 1 and GOOD in signatures[0])


@given(st.integers(0, 255), st.binary(min_size=1))
def test_any_flipped_bit_of_the_signature_is_refused(position: int, body: bytes) -> None:
    raw = bytearray(bytes.fromhex(sign(ALICE, NOW_S, body)[3:]))
    raw[position // 8] ^= 1 << position % 8
    with pytest.raises(SignatureRefused, match="signature_mismatch"):
        verify([ALICE], STAMP, [b"v1=" + raw.hex().encode()], body, NOW_S)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"%b,%b" % (OTHER, GOOD), "ok"),
        (b"\t%b \t, \t%b " % (OTHER, GOOD), "ok"),
        (b"v0=,v10=x,v1a=\xff\n\x00,%b" % GOOD, "ok"),
        (b"v01=%b,%b" % (GOOD[3:], GOOD), "ok"),
        (b",".join([OTHER] * 7 + [GOOD]), "ok"),
        (b",".join([b"v2=x"] * 20 + [GOOD]), "ok"),
        (b",".join([GOOD] * (SIGNATURES_MAX + 1)), "signature_malformed"),
        (b"%b," % GOOD, "signature_malformed"),
        (b",%b" % GOOD, "signature_malformed"),
        (b"%b,,%b" % (GOOD, GOOD), "signature_malformed"),
        (b",", "signature_malformed"),
        (b"v1=00,%b" % GOOD, "signature_malformed"),
        (b"v1=,%b" % GOOD, "signature_malformed"),
        (b"%b;%b" % (GOOD, GOOD), "signature_malformed"),
        (b"%b\n" % GOOD, "signature_malformed"),
        (b"\x0b%b" % GOOD, "signature_malformed"),
        (b"v1 =%b" % GOOD[3:], "signature_malformed"),
        (b"V1=%b" % GOOD[3:], "signature_malformed"),
        (b"v01=%b" % GOOD[3:], "signature_malformed"),
        (b"sha256=%b" % GOOD[3:], "signature_malformed"),
        (b"%b, %b" % (GOOD[3:], GOOD), "signature_malformed"),
        (b" \t ", "signature_missing"),
        (b"", "signature_missing"),
        (OTHER, "signature_mismatch"),
    ],
)
def test_the_signature_header_is_read_strictly(header: bytes, expected: str) -> None:
    assert verdict([header]) == expected


def test_a_header_sent_twice_is_malformed_even_when_both_are_right() -> None:
    assert verdict([GOOD], STAMP * 2) == "timestamp_malformed"
    assert verdict([GOOD, GOOD]) == "signature_malformed"
    assert verdict([b"", b""]) == "signature_malformed"


@pytest.mark.parametrize(
    "stamp", [b"1764000000\n", b"1764000000 ", b"0001764000000000", b"\xb2", b"1_7", b"1764000000,"]
)
def test_a_timestamp_is_digits_and_nothing_else(stamp: bytes) -> None:
    assert verdict([GOOD], [stamp]) == "timestamp_malformed"


def test_the_timestamp_is_signed_as_it_was_written() -> None:
    assert verdict([GOOD], [b"0" + STAMP[0]]) == "signature_mismatch"


def test_the_timestamp_is_judged_before_the_signature_and_presence_before_form() -> None:
    assert verdict([], []) == "timestamp_missing"
    assert verdict([b"x", b"y"], [b"x"]) == "timestamp_malformed"
    assert verdict([], [b"0"]) == "timestamp_outside_tolerance"
    assert verdict([]) == "signature_missing"


def test_the_first_of_several_matching_secrets_is_named() -> None:
    both = b"%b,%b" % (OTHER, GOOD)
    assert verify([b"x", BOB, ALICE], STAMP, [both], BODY, NOW_S) == 1
    assert verify([ALICE, ALICE], STAMP, [GOOD], BODY, NOW_S) == 0


def test_every_secret_is_tried_and_no_secret_costs_one_hmac_too(monkeypatch: pytest.MonkeyPatch) -> None:
    keys: list[bytes] = []

    def counting(key: bytes, message: bytes, digest: str) -> bytes:
        keys.append(key)
        return hmac.digest(key, message, digest)

    signed = read_headers(STAMP, [b",".join([GOOD] * 8)], NOW_S)
    fake = type("counting_hmac", (), {"digest": staticmethod(counting), "compare_digest": hmac.compare_digest})
    monkeypatch.setattr(signing, "hmac", fake)
    assert first_match([ALICE, BOB, b"x"], signed, BODY) == 0
    assert keys == [ALICE, BOB, b"x"]
    with pytest.raises(SignatureRefused, match="signature_mismatch"):
        first_match([], signed, BODY)
    assert len(keys) == 4


def test_an_empty_secret_matches_nothing_and_signs_nothing() -> None:
    forged = SignedHeaders(STAMP[0], (hmac.digest(b"", STAMP[0] + b"." + BODY, "sha256"),))
    assert not matches(b"", forged, BODY)
    with pytest.raises(ValueError, match="secret"):
        sign(b"", NOW_S, BODY)


@pytest.mark.parametrize("at_s", [-1, 10**15])
def test_a_timestamp_that_no_verifier_would_take_is_not_signed(at_s: int) -> None:
    with pytest.raises(ValueError, match="timestamp"):
        sign(ALICE, at_s, BODY)


def test_headers_read_early_can_be_matched_when_the_body_has_come() -> None:
    signed = read_headers(STAMP, [b"%b, %b" % (OTHER, GOOD)], NOW_S)
    assert [matches(secret, signed, BODY) for secret in (ALICE, BOB, b"x")] == [True, True, False]
    assert not matches(ALICE, signed, BODY + b"\n")
