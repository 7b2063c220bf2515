"""Event files: a row is read by the rules of the door, and a bad one takes no other with it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nimriz.base import jsontext
from nimriz.base.errors import Refused
from nimriz.core.ledger import event_files
from nimriz.core.ledger.claim import Claim
from nimriz.core.ledger.claims import read_claim
from nimriz.core.ledger.event_files import COLUMNS, EventFileRefused, EventRow

NOW_MS = 1_795_000_000_000


def from_csv(text: str | bytes) -> list[EventRow]:
    raw = text.encode() if isinstance(text, str) else text
    return list(event_files.read_csv(io.BytesIO(raw), lambda: NOW_MS))


def from_ndjson(text: str | bytes) -> list[EventRow]:
    raw = text.encode() if isinstance(text, str) else text
    return list(event_files.read_ndjson(io.BytesIO(raw), lambda: NOW_MS))


def outcome(row: EventRow) -> object:
    if isinstance(row.said, Refused):
        return row.said.code, [(e.field, e.code) for e in row.said.errors]
    return row.said


def posted(body: dict[str, Any]) -> object:
    """What the door says of a body."""
    try:
        return read_claim(jsontext.parse(json.dumps(body).encode()), NOW_MS)
    except Refused as refused:
        return refused.code, [(e.field, e.code) for e in refused.errors]


def written(rows: Sequence[dict[str, str]]) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1, max_size=12)
_CELLS: dict[str, st.SearchStrategy[str]] = {
    "event_name": st.sampled_from(["lead", "sale", "refund", "Sale", "x"]),
    "event_id": _TEXT,
    "event_time": st.sampled_from(["1700000000", "2023-11-14T22:13:20Z", "yesterday", "0", "99999999999", "-1", "007"]),
    "click_id": _TEXT,
    "external_id": _TEXT,
    "value": st.sampled_from(["129.90", "0", "-1", "1e5", "1.234", "12,5"]),
    "currency": st.sampled_from(["USD", "usd", "JPY", "XX"]),
    "order_id": _TEXT,
    "quantity": st.sampled_from(["1", "0", "2.5", "12345678901", "two"]),
    "related_event_id": _TEXT,
    "related_order_id": _TEXT,
}


@settings(max_examples=150, deadline=None)
@given(st.fixed_dictionaries({}, optional=_CELLS))
def test_a_row_of_csv_is_what_the_same_fields_are_when_they_are_posted(cells: dict[str, str]) -> None:
    whole = {name: cells[name] for name in ("event_time", "quantity") if name in cells and cells[name] != "007"}
    numbers: dict[str, Any] = {name: int(cell) for name, cell in whole.items() if cell.lstrip("-").isdigit()}
    sent: dict[str, Any] = {**cells, **numbers}
    body = {name: value for name, value in sent.items() if name in ("event_name", "event_id", "event_time")}
    body["user_data"] = {n: v for n, v in sent.items() if n in ("click_id", "external_id")}
    body["custom_data"] = {n: v for n, v in sent.items() if n not in body and n not in ("click_id", "external_id")}
    if cells:
        (row,) = from_csv(written([cells]))
        assert outcome(row) == posted(body)


def test_ndjson_is_read_line_by_line_as_it_would_be_posted() -> None:
    body = {"event_name": "lead", "event_id": "a", "user_data": {"external_id": "ann"}}
    rows = from_ndjson("\ufeff" + json.dumps(body) + "\n\n  \n{\n[]\n" + json.dumps({**body, "typo": 1}) + "\r\n")
    assert [(row.number, row.line) for row in rows] == [(1, 1), (2, 4), (3, 5), (4, 6)]
    assert outcome(rows[0]) == posted(body)
    assert [outcome(row) for row in rows[1:]] == [
        ("json_malformed", []), ("validation_failed", [("body", "field_type")]),
        ("validation_failed", [("typo", "field_unknown")]),
    ]  # fmt: skip


def test_metadata_is_a_cell_of_json_and_cannot_break_out_of_it() -> None:
    rows = from_csv(
        written(
            [
                {"event_name": "lead", "event_id": "1", "metadata": '{"n": 1.50}'},
                {"event_name": "lead", "event_id": "2", "metadata": '{}},"event_id":"9","x":{'},
                {"event_name": "lead", "event_id": "3", "metadata": '{"a":1,"a":2}'},
                {"event_name": "lead", "event_id": "4", "metadata": "7"},
            ]
        )
    )
    assert isinstance(rows[0].said, Claim)
    assert rows[0].said.metadata == b'{"n":1.50}'
    assert [outcome(row) for row in rows[1:]] == [
        ("json_malformed", []), ("json_duplicate_key", []),
        ("validation_failed", [("custom_data.metadata", "field_type")]),
    ]  # fmt: skip


def test_a_bad_row_takes_no_other_with_it() -> None:
    rows = from_csv(
        b'event_name,event_id,order_id\nlead,1\nlead,"2,\nlead,3,a,b\nlead,\xff4\nlead,5\x00\n\nlead,6,"a ""b"""\n'
        + b"lead," + b"x" * 70_000 + b"\nlead,8\n"
    )  # fmt: skip
    assert [row.line for row in rows] == [2, 3, 4, 5, 6, 8, 9, 10]
    assert [isinstance(row.said, Claim) for row in rows] == [True, False, False, False, False, True, False, True]
    assert outcome(rows[6]) == ("body_too_large", [])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("", "no row"), ("event_name,event_id,valeu\n", "column 3"), ("event_id,value\n", "no column event_name"),
     ("event_name,event_id,event_id\n", "twice"), ('"\n', "no row")],
)  # fmt: skip
def test_a_header_that_is_wrong_stops_the_whole_file(text: str, sentence: str) -> None:
    with pytest.raises(EventFileRefused, match=sentence):
        from_csv(text)
