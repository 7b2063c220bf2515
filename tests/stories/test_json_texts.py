"""JSON read strictly: what RFC 8259 leaves to the reader is refused before any field is looked at."""

from __future__ import annotations

import itertools

import pytest

from tests.world import Workspace

_numbers = itertools.count()
FRAME = b'{"event_name":"lead","event_id":"%s","custom_data":{"metadata":{"a":%s}}}'


def framed(value: bytes) -> bytes:
    """A good lead with this text as a value inside its metadata."""
    return FRAME % (b"json-%d" % next(_numbers), value)


def nested(levels: int, opening: bytes, closing: bytes) -> bytes:
    return opening * levels + closing * levels


GOOD = FRAME % (b"good", b"1")
MALFORMED: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \n",
    "byte order mark": b"\xef\xbb\xbf" + GOOD,
    "UTF-16": GOOD.decode().encode("utf-16"),
    "UTF-32": GOOD.decode().encode("utf-32-le"),
    "latin-1": framed('"é"'.encode("latin-1")),
    "overlong UTF-8": framed(b'"\xc0\xaf"'),
    "surrogate in UTF-8": framed(b'"\xed\xa0\x80"'),
    "beyond Unicode": framed(b'"\xf4\x90\x80\x80"'),
    "cut UTF-8": framed(b'"\xe2\x82"'),
    "high surrogate": framed(b'"\\ud800"'),
    "low surrogate": framed(b'"\\udc00"'),
    "surrogates in the wrong order": framed(b'"\\udc00\\ud800"'),
    "surrogate and a letter": framed(b'"\\ud83dx"'),
    "surrogate in a key": framed(b'{"\\ud800":1}'),
    "surrogate in an id": b'{"event_name":"lead","event_id":"\\ud800"}',
    "surrogate in a top key": b'{"event_name":"lead","event_id":"x","\\udfff":1}',
    "NUL escaped": framed(b'"\\u0000"'),
    "NUL in a key": framed(b'{"\\u0000":1}'),
    "NUL in an id": b'{"event_name":"lead","event_id":"a\\u0000b"}',
    "NUL raw": framed(b'"\x00"'),
    "NUL after the text": GOOD + b"\x00",
    "control character": framed(b'"\x01"'),
    "tab in a string": framed(b'"\t"'),
    "line end in a string": framed(b'"\n"'),
    "NaN": framed(b"NaN"),
    "Infinity": framed(b"Infinity"),
    "-Infinity": framed(b"-Infinity"),
    "NaN as value": b'{"event_name":"sale","event_id":"x","custom_data":{"value":NaN,"currency":"USD"}}',
    "NaN as time": b'{"event_name":"sale","event_id":"x","event_time":NaN}',
    "leading zero": framed(b"01"),
    "plus": framed(b"+1"),
    "point alone": framed(b"1."),
    "no digit before the point": framed(b".5"),
    "hex": framed(b"0x1"),
    "exponent alone": framed(b"1e"),
    "digits of another script": framed("１".encode()),
    "single quotes": framed(b"'a'"),
    "trailing comma": framed(b"[1,]"),
    "trailing comma in an object": framed(b'{"a":1,}'),
    "comment": framed(b"1/*x*/"),
    "two values": GOOD + GOOD,
    "newline-delimited": GOOD + b"\n" + GOOD,
    "rubbish after it": GOOD + b"x",
    "cut short": GOOD[:-1],
    "bad escape": framed(b'"\\x41"'),
    "short escape": framed(b'"\\u12"'),
    "no-break space": b"\xc2\xa0" + GOOD,
    "form feed": b"\x0c" + GOOD,
    "key without quotes": framed(b"{a:1}"),
    "33 levels of arrays": framed(nested(30, b"[", b"]")),
    "33 levels of objects": framed(b'{"a":' * 29 + b"{}" + b"}" * 29),
    "10,000 levels": b"[" * 10_000 + b"]" * 10_000,
    "30,000 open levels": b"[" * 30_000,
    "30,000 open objects": b'{"a":' * 10_000,
    "duplicate keys, then broken": b'{"a":1,"a":2',
    "duplicate keys and a NUL": b'{"a":1,"a":"\\u0000"}',
}
DUPLICATE: dict[str, bytes] = {
    "top": b'{"event_name":"lead","event_id":"x","event_id":"x"}',
    "escaped": b'{"event_name":"lead","event_id":"x","event\\u005fid":"y"}',
    "nested": b'{"event_name":"sale","event_id":"x","custom_data":{"value":"1","value":"2","currency":"USD"}}',
    "in metadata": framed(b'{"b":1,"b":1}'),
    "deep in metadata": framed(b'[{"c":[{"b":1,"b":null}]}]'),
    "empty keys": framed(b'{"":1,"":2}'),
    "in an array body": b'[{"a":1,"a":2}]',
    "unknown fields": b'{"x":1,"x":2}',
}
FINE: dict[str, bytes] = {
    "32 levels of arrays": framed(nested(29, b"[", b"]")),
    "32 levels of objects": framed(b'{"a":' * 28 + b"{}" + b"}" * 28),
    "many shallow ones": framed(b"[" + b"[]," * 60 + b"[]]"),
    "brackets in strings": framed(b'"' + b"[{" * 100 + b'"'),
    "a surrogate pair": framed(b'"\\ud83d\\ude00"'),
    "an escaped backslash before u0000": framed(b'"\\\\u0000"'),
    "an escaped slash": framed(b'"\\/"'),
    "blanks everywhere": b" \r\n\t" + framed(b" [ 1 , 2 ] ") + b"\n ",
    "noncharacters": framed('"\uffff\ufdd0"'.encode()),
    "DEL": framed(b'"\x7f"'),
    "a huge integer": framed(b"9" * 1_000),
    "a huge exponent": framed(b"1e999999"),
    "same key on two levels": framed(b'{"a":{"a":1}}'),
    "keys that differ in case": framed(b'{"b":1,"B":2}'),
}


@pytest.mark.parametrize("path", ["", "/batch"])
@pytest.mark.parametrize("name", MALFORMED)
def test_a_text_that_is_not_strict_json_is_malformed(shop: Workspace, name: str, path: str) -> None:
    text = MALFORMED[name]
    if path and (b"levels" in name.encode() and name.startswith("33")):
        # Inside a batch an event lies two levels deeper, and so does its bound.
        text = b'{"events":[%s]}' % text
    response = shop.post_raw(text, path=path)
    assert (response.status_code, response.json()["code"]) == (400, "json_malformed"), response.text


@pytest.mark.parametrize("wrap", [b"%s", b'{"events":[%s]}'], ids=["single", "batch"])
@pytest.mark.parametrize("name", DUPLICATE)
def test_a_key_stands_once(shop: Workspace, name: str, wrap: bytes) -> None:
    response = shop.post_raw(wrap % DUPLICATE[name], path="/batch" if len(wrap) > 2 else "")
    assert (response.status_code, response.json()["code"]) == (400, "json_duplicate_key"), response.text


@pytest.mark.parametrize("wrap", [b"%s", b'{"events":[%s]}'], ids=["single", "batch"])
@pytest.mark.parametrize("name", FINE)
def test_odd_and_legal_json_passes(shop: Workspace, name: str, wrap: bytes) -> None:
    batch = len(wrap) > 2
    response = shop.post_raw(wrap % FINE[name], path="/batch" if batch else "")
    answer = response.json()
    assert (answer["results"][0]["http_status"] if batch else response.status_code) in (200, 201), response.text


@pytest.mark.parametrize("text", [b"[]", b"null", b"true", b"1", b'"x"', b"[{}]", b"1e400", b'["events"]'])
@pytest.mark.parametrize("path", ["", "/batch"])
def test_a_body_that_is_no_object_is_refused_as_one_of_another_type(shop: Workspace, text: bytes, path: str) -> None:
    response = shop.post_raw(text, path=path)
    assert response.status_code == 422, response.text
    assert [error["code"] for error in response.json()["errors"]] == ["field_type"]
