"""Appending changes no byte of a destination; suppression errs on the side of leaving it alone."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nimriz.base.urls import DESTINATION_BYTES_MAX, append, append_token, split_for_append, suppression

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors" / "append.json").read_text("utf-8"))

ADDITION_BYTES = len("?nim_ct=") + 78

# Any text at all, lone surrogates too, and texts made of what a URL is made of.
destinations = st.text(st.characters()) | st.lists(
    st.sampled_from(["https://e.example", "/p", "?", "&", ";", "#", "=", "%", "%26", "%ff", "+", "token", "a", "é"])
).map("".join)


def jwt(header: bytes, signature: str = "c2ln") -> str:
    return base64.urlsafe_b64encode(header).decode().rstrip("=") + ".eyJzdWIiOiIxIn0." + signature


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["destination"][:80])
def test_the_vector_gets_its_bytes_and_its_reason(case: dict[str, Any]) -> None:
    assert append_token(case["destination"], "nimct_T") == (case["result"], case["reason"])


@given(destinations, st.text("abc=&", min_size=1))
def test_everything_before_and_after_the_insertion_stands_as_it_was(destination: str, addition: str) -> None:
    before, hash_sign, fragment = destination.partition("#")
    result = append(destination, addition)
    assert result.startswith(before)
    assert result.endswith(addition + hash_sign + fragment)
    separator = result[len(before) : len(result) - len(addition + hash_sign + fragment)]
    assert separator in {"", "?", "&"}
    assert before + hash_sign + fragment == destination
    assert split_for_append(destination) == (before + separator, hash_sign + fragment)


@given(destinations)
def test_an_appended_token_is_a_parameter_of_its_own_and_comes_last(destination: str) -> None:
    result, reason = append_token(destination, "nimct_T")
    if reason is not None:
        assert result == destination
    else:
        assert result.partition("#")[0].partition("?")[2].split("&")[-1] == "nim_ct=nimct_T"
        assert suppression(result) == "already_present"


@given(destinations)
def test_no_text_makes_judging_raise(destination: str) -> None:
    assert append_token(destination, "nimct_T")[1] == suppression(destination)


def test_appending_nothing_adds_no_separator() -> None:
    assert append("https://example.com/#x", "") == "https://example.com/#x"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("X-Amz-Credential", "signed_aws"),
        ("X%2DAmz%2dSignature", "signed_aws"),
        ("__TOKEN__", "signed_akamai"),
        ("__gda__", "signed_akamai"),
        ("hdnea", "signed_akamai"),
        ("X-Amz-Security-Token", "policy"),
        ("x-amz-date", "policy"),
        ("x-goog-credential", "policy"),
        ("success_action_redirect", "policy"),
        ("nim%5Fct", "already_present"),
    ],
)
def test_one_parameter_can_be_reason_enough(name: str, reason: str) -> None:
    assert suppression(f"https://example.com/?a=1&{name}=x&b=2") == reason


@pytest.mark.parametrize(
    "name",
    ["resetPasswordToken", "accessTOKEN", "X-Foo-Signature", "CSRFToken", "oauth2Token", "_token", "TOKEN", "tOKEN",
     "my_tOKEN", "id.token", "a-b_c.Hash", "sessionOTP", "sha256HMAC", "SAMLResponse", "samlresponse", "Ticket",
     "NONCE", "checkout_checksum", "Payment_Intent_Client_Secret", "user[reset_token]", "token[]", "user%5Btoken%5D",
     "access+token", "+token", "token%20", "tok%65n", "to\nken", "sig", "token_"],
)  # fmt: skip
def test_a_name_that_ends_in_the_word_is_an_integrity_token(name: str) -> None:
    assert suppression(f"https://example.com/?{name}=1") == "integrity_token"
    assert suppression(f"HTTPS://example.com?a&{name}#f") == "integrity_token"


@pytest.mark.parametrize(
    "name",
    ["tokens", "designature", "tokenize", "token_id", "tokenCount", "accesstoken", "csrftoken", "hashtag", "rehash",
     "signatures", "sigma", "token2", "tokenIDs", "nonces", "code", "state", "sv", "policy_id", "my-policy",
     "Key-Pair-Id", "GoogleAccessId", "OSSAccessKeyId", "AWSAccessKeyId",
     "nim_cts", "tok%2565n", "token%", "token%zz", "%ff%fetoken", "", "?token"],
)  # fmt: skip
def test_a_name_that_only_resembles_one_is_left_alone(name: str) -> None:
    assert suppression(f"https://example.com/?a=1&{name}=2") is None


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("signature=1&awsaccesskeyid=2", "signed_aws"),
        ("Signature=1&GoogleAccessId=2", "signed_gcs"),
        ("Policy=1&Key-Pair-Id=2", "signed_cloudfront"),
        ("SIG=1&SE=2", "signed_azure"),
        ("OSSAccessKeyId=1&signature=2", "signed_alibaba"),
        ("x-oss-signature-version=OSS4&x-oss-credential=1&x-oss-date=2&x-oss-signature=3", "integrity_token"),
        ("state=1&code=2", "integrity_token"),
        ("auth_code=1&loginState=2", "integrity_token"),
        ("token=1&nim_ct=2", "integrity_token"),
        ("policy=1&token=2", "policy"),
        ("hdnts=1&policy=2&sig=3&sv=4", "signed_azure"),
        ("a=1;token=2", "integrity_token"),
        ("a=1&amp;token=2", "integrity_token"),
        ("url=https://b.example/k?X-Amz-Date=1&X-Amz-Signature=2", "signed_aws"),
        ("next=%2F%3Fa%26token%3D1", None),
        ("a=token", None),
        ("&&&=&=token&;", None),
    ],
)
def test_the_first_row_of_the_table_that_matches_is_the_reason(query: str, reason: str | None) -> None:
    assert suppression(f"https://example.com/?{query}") == reason


@pytest.mark.parametrize(
    "value",
    [
        jwt(b'{"alg":"HS256"}'),
        jwt(b'{"alg":"none"}', ""),
        jwt(b' {"alg":"HS256"}').replace(".", "%2E"),
        jwt(b'{"alg":"HS256"}').replace("J", "%4a"),
        jwt(b'{"a":"\xc3\xa9"}'),
    ],
)
def test_a_jwt_is_recognised_under_any_name_and_under_none(value: str) -> None:
    assert suppression(f"https://example.com/?x={value}") == "integrity_token"
    assert suppression(f"https://example.com/?{value}") == "integrity_token"


@pytest.mark.parametrize(
    "value",
    ["a.b.c", "1.2.3", jwt(b"[1]"), jwt(b"1"), jwt(b"{"), jwt(b"\xff\xfe"), jwt(b"[" * 100_000)[:8000] + ".a.b",
     jwt(b'{"a":' * 1000) + "x", jwt(b"{}") + ".more", jwt(b"{}").partition(".")[2], "..", "e30..", "x.e30.e30"],
)  # fmt: skip
def test_three_parts_are_a_jwt_only_if_the_first_is_an_object(value: str) -> None:
    expected = "integrity_token" if value == "e30.." else None
    assert suppression(f"https://example.com/?x={value}") == expected


@pytest.mark.parametrize(
    "destination",
    ["mailto:a@example.com", "myapp://open?x=1", "intent://x#Intent;end", "//example.com/", "/path", "", "javascript:1",
     "httpsx://e.example", "e.example?u=http://x", " https://e.example"],
)  # fmt: skip
def test_what_is_not_http_is_left_alone(destination: str) -> None:
    assert append_token(destination, "nimct_T") == (destination, "not_http")


def test_a_parameter_in_path_or_fragment_is_not_in_the_query() -> None:
    assert suppression("HTTPS://example.com/token=1&sig=2") is None
    assert suppression("https://example.com/#/reset?token=1") is None
    assert suppression("https://example.com/#?nim_ct=1") is None


@pytest.mark.parametrize(("filler", "width"), [("x", 1), ("\u00e9", 2), ("\ud800", 3), ("\U0001f600", 4)])
def test_the_length_is_counted_in_bytes_with_a_real_token(filler: str, width: int) -> None:
    head, tail = "https://example.com/", "#f"
    room = DESTINATION_BYTES_MAX - ADDITION_BYTES - len(head + tail)
    fits = head + "x" * (room % width) + filler * (room // width) + tail
    assert suppression(fits) is None
    assert suppression(head + "x" + fits.removeprefix(head)) == "too_long"


def test_a_separator_that_is_there_already_leaves_one_byte_more() -> None:
    full = "https://example.com/?" + "x" * (DESTINATION_BYTES_MAX - ADDITION_BYTES - 21)
    token = "nimct_" + "A" * 72
    for fits in (full, full + "&"):
        assert suppression(fits) is None
        assert len(append_token(fits, token)[0]) == DESTINATION_BYTES_MAX
    for too_long in (full + "x", full + "x&", full + "&&"):
        assert suppression(too_long) == append_token(too_long, token)[1] == "too_long"
