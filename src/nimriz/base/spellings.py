"""Spellings: the ways in which common programs would have written one JSON text.

A signature is over bytes. Whoever parses a body and writes it again signs other bytes, and these are the usual ones:
another layout, sorted keys, characters escaped or not, numbers read and written. Each spelling has the codes of what
differs from the text as it came; what is left alone keeps its very characters.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import product
from typing import NamedTuple

DEPTH_MAX = 64
BYTES_MAX = 65_536
"""A longer text is spelled with one difference at a time."""

_TOKEN = re.compile(r'[ \t\r\n]*([{}\[\],:]|"(?:[^"\\]|\\.)*"|[^\s{}\[\],:"]+)', re.DOTALL)
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_ESCAPE = re.compile(r"\\u[0-9a-f]{4}")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_HTML = {"<": r"\u003c", ">": r"\u003e", "&": r"\u0026", "\u2028": r"\u2028", "\u2029": r"\u2029"}
_DOTNET = {"<": r"\u003C", ">": r"\u003E", "&": r"\u0026", "'": r"\u0027", "+": r"\u002B", "`": r"\u0060"}


class Member(NamedTuple):
    """A member of an object: the key as written, the key as meant, the value."""

    token: str
    key: str
    value: _Tree


class _Tree(NamedTuple):
    """A value: a leaf as it was written, or what an array or object holds."""

    kind: str
    token: str = ""
    items: tuple[_Tree, ...] = ()
    members: tuple[Member, ...] = ()


class _Malformed(ValueError):
    pass


class Style(NamedTuple):
    """How a text is written; `sent` leaves it as it came."""

    layout: str
    keys: str
    strings: str
    numbers: str
    end: str


# Separators between members, between key and value, and the indent of a line.
LAYOUTS: dict[str, tuple[str, str, str | None]] = {
    "compact": (",", ":", None),
    "spaced": (", ", ": ", None),
    "indent_2": (",", ": ", "  "),
    "indent_4": (",", ": ", "    "),
    "tabs": (",", ": ", "\t"),
}
_LAYOUT_CODES = {"compact": "body_compact", "spaced": "body_spaced"}
_STRING_CODES = {
    "raw": "body_unicode_raw", "escaped": "body_unicode_escaped", "escaped_upper": "body_unicode_escaped",
    "slashes": "body_escapes", "html": "body_escapes", "php": "body_unicode_escaped", "dotnet": "body_unicode_escaped",
}  # fmt: skip


def spellings(text: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """(codes of what differs, the text so written), the fewest differences first, no text twice.

    Nothing for what is no JSON text, or nests deeper than 64.
    """
    core = text.strip(" \t\r\n")
    try:
        tree = _parse(core)
    except (_Malformed, ValueError):
        return
    sent_layout = next((name for name in LAYOUTS if _write(tree, Style(name, "sent", "sent", "sent", "")) == core), "")
    sent_end = text[len(text.rstrip(" \t\r\n")) :]
    begins_late = text[:1] in " \t\r\n"
    differences_max = 9 if len(text) <= BYTES_MAX else 1
    trimmed = ("body_trimmed",) if begins_late else ()
    styles = [((*trimmed, *_codes(style, sent_layout, sent_end)), style) for style in _styles(sent_layout)]
    seen = {text}
    for codes, style in sorted(styles, key=lambda pair: len(pair[0])):
        if len(codes) > differences_max:
            return
        written = (core if not style.layout else _write(tree, style)) + style.end
        if written not in seen:
            seen.add(written)
            yield codes, written


def _styles(sent_layout: str) -> Iterator[Style]:
    for parts in product([sent_layout, *LAYOUTS], ("sent", "sorted", "last"), STRINGS, NUMBERS, ("", "\n")):
        style = Style(*parts)
        # A layout of nobody's cannot be written again: its text is left alone, or all of it is written anew.
        if style.layout or style[:4] == ("", "sent", "sent", "sent"):
            yield style


def _codes(style: Style, sent_layout: str, sent_end: str) -> tuple[str, ...]:
    codes = []
    if style.layout != sent_layout:
        codes.append(_LAYOUT_CODES.get(style.layout, "body_pretty"))
    if style.keys != "sent":
        codes.append("body_keys_sorted" if style.keys == "sorted" else "body_duplicate_keys_dropped")
    if style.strings != "sent":
        codes.append(_STRING_CODES[style.strings])
    if style.numbers != "sent":
        codes.append("body_numbers_rewritten")
    if style.end != sent_end:
        fewer = "body_newline_removed" if "\n" in sent_end else "body_trimmed"
        codes.append("body_newline_added" if len(style.end) > len(sent_end) else fewer)
    return tuple(codes)


# --- reading ----------------------------------------------------------------------------------------------------


def _parse(text: str) -> _Tree:
    tokens = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise _Malformed
        tokens.append(found[1])
        at = found.end()
    tree, end = _value(tokens, 0, 0)
    if end != len(tokens):
        raise _Malformed
    return tree


def _value(tokens: list[str], at: int, depth: int) -> tuple[_Tree, int]:
    if at >= len(tokens) or depth > DEPTH_MAX:
        raise _Malformed
    token = tokens[at]
    if token == "[":
        return _array(tokens, at + 1, depth)
    if token == "{":
        return _object(tokens, at + 1, depth)
    if token in "]},:":
        raise _Malformed
    return _Tree("string" if token[0] == '"' else "leaf", token), at + 1


def _array(tokens: list[str], at: int, depth: int) -> tuple[_Tree, int]:
    items: list[_Tree] = []
    while at < len(tokens) and tokens[at] != "]":
        if items:
            at = _skip(tokens, at, ",")
        item, at = _value(tokens, at, depth + 1)
        items.append(item)
    return _Tree("array", items=tuple(items)), _skip(tokens, at, "]")


def _object(tokens: list[str], at: int, depth: int) -> tuple[_Tree, int]:
    members: list[Member] = []
    while at < len(tokens) and tokens[at] != "}":
        if members:
            at = _skip(tokens, at, ",")
        token = tokens[at] if at < len(tokens) else ""
        if token[:1] != '"':
            raise _Malformed
        value, at = _value(tokens, _skip(tokens, at + 1, ":"), depth + 1)
        members.append(Member(token, _meant(token), value))
    return _Tree("object", members=tuple(members)), _skip(tokens, at, "}")


def _skip(tokens: list[str], at: int, token: str) -> int:
    if at >= len(tokens) or tokens[at] != token:
        raise _Malformed
    return at + 1


def _meant(token: str) -> str:
    meant: str = json.loads(token, strict=False)
    return meant


# --- writing ----------------------------------------------------------------------------------------------------


def _write(tree: _Tree, style: Style) -> str:
    between, colon, indent = LAYOUTS[style.layout]
    quote, number = STRINGS[style.strings], NUMBERS[style.numbers]

    def write(node: _Tree, line: str) -> str:
        if node.kind == "string":
            return quote(node.token)
        if node.kind == "leaf":
            return number(node.token) if _NUMBER.fullmatch(node.token) else node.token
        inner = line if indent is None else line + indent
        if node.kind == "array":
            parts, opening, closing = [write(item, inner) for item in node.items], "[", "]"
        else:
            members = _in_order(node.members, style)
            parts = [f"{quote(member.token)}{colon}{write(member.value, inner)}" for member in members]
            opening, closing = "{", "}"
        if not parts or indent is None:
            return opening + between.join(parts) + closing
        return f"{opening}\n{inner}" + f"{between}\n{inner}".join(parts) + f"\n{line}{closing}"

    return write(tree, "")


def _in_order(members: tuple[Member, ...], style: Style) -> list[Member]:
    kept = list(members)
    if style.keys != "sent":
        # A parser keeps the place of the first of two keys, and the value of the last.
        kept = list({member.key: member for member in members}.values())
    if style.keys == "sorted":
        return sorted(kept, key=lambda member: member.key)
    if style.numbers == "javascript":
        return sorted(kept, key=lambda m: (0, int(m.key)) if _INDEX.fullmatch(m.key) else (1, 0))
    return kept


def _raw(token: str) -> str:
    return json.dumps(_meant(token), ensure_ascii=False)


def _escaped(token: str) -> str:
    return json.dumps(_meant(token))


def _upper(text: str) -> str:
    return _ESCAPE.sub(lambda found: "\\u" + found[0][2:].upper(), text)


def _replaced(text: str, table: dict[str, str]) -> str:
    return "".join(table.get(character, character) for character in text)


STRINGS: dict[str, Callable[[str], str]] = {
    "sent": lambda token: token,
    "raw": _raw,
    "escaped": _escaped,
    "escaped_upper": lambda token: _upper(_escaped(token)),
    "slashes": lambda token: _raw(token).replace("/", r"\/"),
    "html": lambda token: _replaced(_raw(token), _HTML),
    "php": lambda token: _escaped(token).replace("/", r"\/"),
    "dotnet": lambda token: '"' + _replaced(_upper(_escaped(token))[1:-1].replace(r"\"", r"\u0022"), _DOTNET) + '"',
}


def _by_python(token: str) -> str:
    if len(token) > 400:
        return token
    return token if token.lstrip("-").isdigit() else repr(float(token))


def _by_javascript(token: str) -> str:
    """A number as JSON.parse and JSON.stringify leave it (ECMAScript, Number::toString)."""
    value = float(token) if len(token) <= 400 else math.inf
    if not math.isfinite(value):
        return "null"
    if value == 0:
        return "0"
    shortest = Decimal(repr(value))
    sign, digits = ("-" if value < 0 else ""), "".join(map(str, shortest.as_tuple().digits)).rstrip("0")
    point = shortest.adjusted() + 1
    if -6 < point <= 21:
        return sign + _plain(digits, point)
    mantissa = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
    return f"{sign}{mantissa}e{'+' if point > 0 else '-'}{abs(point - 1)}"


def _plain(digits: str, point: int) -> str:
    if point <= 0:
        return "0." + "0" * -point + digits
    return digits.ljust(point, "0") if len(digits) <= point else f"{digits[:point]}.{digits[point:]}"


NUMBERS: dict[str, Callable[[str], str]] = {
    "sent": lambda token: token,
    "python": _by_python,
    "javascript": _by_javascript,
}
