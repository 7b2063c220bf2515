"""JSON, read strictly and without loss.

A number keeps the text in which it was written (no float ever comes near it), a key may stand once in
an object, and what RFC 8259 leaves to the reader is refused: invalid UTF-8, lone surrogates, NUL
characters, non-finite numbers, deep nesting.
"""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation

from nimriz.base.errors import Refused

DEPTH_MAX = 32


class Number:
    """A JSON number as it was written. Two are equal when they are the same number."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Number):
            return NotImplemented
        try:
            return self.text == other.text or Decimal(self.text) == Decimal(other.text)
        except InvalidOperation:  # An exponent beyond all bounds.
            return False

    def __hash__(self) -> int:
        return hash(self.text)


class _DuplicateKey(Exception):
    pass


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _DuplicateKey
    return members


def _refuse_constant(_: str) -> None:
    raise ValueError("not a finite number")


_STRICT = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=Number, parse_int=Number, parse_constant=_refuse_constant
)
_LAX = json.JSONDecoder(parse_float=Number, parse_int=Number, parse_constant=_refuse_constant)
_QUOTE = json.JSONEncoder(ensure_ascii=False).encode


def parse(raw: bytes, depth_max: int = DEPTH_MAX) -> object:
    """The value of a JSON text: numbers as Number.

    Raises Refused: json_malformed, or json_duplicate_key for a text that is well-formed otherwise.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("json_malformed") from None
    try:
        value: object = _STRICT.decode(text)
    except _DuplicateKey:
        _checked(_lax(text), raw, depth_max)
        raise Refused("json_duplicate_key") from None
    except (ValueError, RecursionError):
        raise Refused("json_malformed") from None
    return _checked(value, raw, depth_max)


def _lax(text: str) -> object:
    try:
        value: object = _LAX.decode(text)
    except (ValueError, RecursionError):
        raise Refused("json_malformed") from None
    return value


def _checked(value: object, raw: bytes, depth_max: int) -> object:
    # Cheap looks at the raw bytes first: the walk below is for suspicious texts alone.
    if raw.count(b"{") + raw.count(b"[") > depth_max and _depth(value) > depth_max:
        raise Refused("json_malformed")
    if b"\\u" in raw and not _clean(value):
        raise Refused("json_malformed")
    return value


def _depth(value: object) -> int:
    """Levels of objects and arrays, counted level by level: no recursion on hostile input."""
    level, depth = [value], 0
    while level := [v for v in level if isinstance(v, (dict, list))]:
        depth += 1
        level = [child for v in level for child in (v.values() if isinstance(v, dict) else v)]
    return depth


def _clean(value: object) -> bool:
    """Whether no string in `value` holds a NUL character or a lone surrogate."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            if "\0" in item or any("\ud800" <= character <= "\udfff" for character in item):
                return False
        elif isinstance(item, dict):
            waiting += item.keys()
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
    return True


def write(value: object) -> str:
    """Compact JSON of a parsed value: keys in their order, numbers as they were written."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{_QUOTE(key)}:{write(member)}" for key, member in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(write, value)) + "]"
    return value.text if isinstance(value, Number) else _QUOTE(value)
