"""Event files: rows of CSV or NDJSON become claims, by the very rules of the Conversion API.

A row of CSV is written as the JSON that a caller would post, and then read as such, so that there is one door. A row
that is refused says why; it never takes another with it, and none is left out.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from nimriz.base import jsontext
from nimriz.base.errors import FieldError, Refused
from nimriz.core.ledger.claim import Claim
from nimriz.core.ledger.claims import read_claim

ROW_BYTES_MAX = 65_536
_USER = ("click_id", "external_id")
_CUSTOM = ("value", "currency", "order_id", "quantity", "related_order_id", "related_event_id", "metadata")
COLUMNS = ("event_name", "event_id", "event_time", *_USER, *_CUSTOM)
_NUMBER_CHARS = frozenset("-0123456789")


class EventFileRefused(Exception):
    """The file as a whole cannot be read; the message is the sentence to print."""


class EventRow(NamedTuple):
    """One row: its number, from 1, its line, and the claim or why there is none."""

    number: int
    line: int
    said: Claim | Refused


def read_ndjson(lines: Iterable[bytes], now_ms: Callable[[], int]) -> Iterator[EventRow]:
    """The rows of a file with an event on each line, as it would be posted. Empty lines are none."""
    number = 0
    for line, raw in enumerate(lines, 1):
        text = raw.removeprefix(b"\xef\xbb\xbf") if line == 1 else raw
        if text.strip():
            number += 1
            yield EventRow(number, line, _read(text, now_ms))


def read_csv(lines: Iterable[bytes], now_ms: Callable[[], int]) -> Iterator[EventRow]:
    """The rows of a CSV file; its first row names the columns. Raises EventFileRefused for a wrong header.

    A line is a row: a quote that is never closed takes no other row with it.
    """
    # What is no UTF-8 comes through as what JSON refuses.
    texts = (raw.decode("utf-8", "surrogateescape") for raw in lines)
    header = _header(next(texts, "").removeprefix("\ufeff"))
    number = 0
    for line, text in enumerate(texts, 2):
        if text.strip():
            number += 1
            yield EventRow(number, line, _of_line(header, text, now_ms))


def _cells(text: str) -> list[str]:
    return next(csv.reader([text.rstrip("\r\n")], strict=True), [])


def _header(text: str) -> list[str]:
    try:
        header = [cell.strip() for cell in _cells(text)]
    except csv.Error:
        header = []
    if not header:
        raise EventFileRefused("it has no row that names its columns")
    unknown = [number for number, name in enumerate(header, 1) if name not in COLUMNS]
    if unknown:
        raise EventFileRefused(f"its column {unknown[0]} has a name that is none of {', '.join(COLUMNS)}")
    if len(set(header)) < len(header):
        raise EventFileRefused("it names a column twice")
    missing = [name for name in ("event_name", "event_id") if name not in header]
    if missing:
        raise EventFileRefused(f"it has no column {missing[0]}")
    return header


def _of_line(header: Sequence[str], text: str, now_ms: Callable[[], int]) -> Claim | Refused:
    try:
        cells = _cells(text)
    except csv.Error:
        return Refused("validation_failed", errors=(FieldError("row", "field_type"),))
    return _of_cells(header, cells, now_ms)


def _of_cells(header: Sequence[str], cells: Sequence[str], now_ms: Callable[[], int]) -> Claim | Refused:
    if len(cells) > len(header):
        return Refused("validation_failed", errors=(FieldError("row", "field_unknown"),))
    sent = {name: cell for name, cell in zip(header, cells, strict=False) if cell}
    try:
        members = {name: _json_of(name, cell) for name, cell in sent.items()}
    except Refused as refused:
        return refused
    outer = [f'"{name}":{members[name]}' for name in ("event_name", "event_id", "event_time") if name in members]
    for group, names in (("user_data", _USER), ("custom_data", _CUSTOM)):
        inner = ",".join(f'"{name}":{members[name]}' for name in names if name in members)
        outer.append(f'"{group}":{{{inner}}}')
    return _read(f"{{{','.join(outer)}}}".encode(), now_ms)


def _json_of(name: str, cell: str) -> str:
    """A cell as JSON: whole numbers where the field is one, metadata as it stands, all else as text."""
    if name == "metadata":
        jsontext.parse(cell.encode("utf-8", "replace"))
        return cell.encode("utf-8", "replace").decode()
    if name in ("event_time", "quantity") and _NUMBER_CHARS.issuperset(cell) and _is_whole(cell):
        return cell
    return json.dumps(cell)


def _is_whole(cell: str) -> bool:
    digits = cell.removeprefix("-")
    return digits.isdigit() and (digits == "0" or not digits.startswith("0"))


def _read(raw: bytes, now_ms: Callable[[], int]) -> Claim | Refused:
    try:
        if len(raw) > ROW_BYTES_MAX:
            raise Refused("body_too_large")
        return read_claim(jsontext.parse(raw), now_ms())
    except Refused as refused:
        return refused
