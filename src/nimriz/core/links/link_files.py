"""Files of links: the CSV dialects of other shorteners read into rows, and our own written.

RFC 4180 in UTF-8, divided by commas, semicolons or tabs. Dialect and divider are told by the header line, whose names
are compared trimmed, without case, and with underscores and hyphens taken for spaces. In our own dialect every cell is
exact; elsewhere cells are trimmed, and `null` is nothing.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

from nimriz.base.clock import to_rfc3339
from nimriz.base.errors import FieldError
from nimriz.base.urls import UTM_NAMES
from nimriz.core.links.link_dialects import DIALECTS, Dialect, column_name
from nimriz.core.links.links import Link, utm_of

FILE_BYTES_MAX = 100_000_000
ROWS_MAX = 100_000
FIELD_CHARS_MAX = 131_072
_DELIMITERS = ",;\t"
_TRUE, _FALSE = ("true", "1", "yes", "t"), ("false", "0", "no", "f")
# What a spreadsheet takes for a formula, or strips until one is left (OWASP, CSV Injection).
_FORMULA = re.compile("'*[=+@\t\r\n＝＋－＠-]")
_NUMBER = re.compile(r"[0-9]{1,16}")
# A list of addresses: JSON, as programs print one, or simply one after the other.
_ADDRESS = re.compile(r"[^\s,;|\[\]\"']+")
_NO_MEMBERS = ("slug", "short_url", "custom", "banned", "password_protected")
_HOST = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*://)?[^/]*/?")


class FileRefused(Exception):
    """This is no file of links; the message is the sentence that says why."""


class FileRow(NamedTuple):
    """One row: the line on which it begins, its slug, what it says of the link, and what of that cannot be read."""

    line: int
    slug: str
    said: dict[str, Any]
    errors: tuple[FieldError, ...]


def read(lines: Iterable[str], dialect_name: str = "auto") -> tuple[Dialect, Iterator[FileRow]]:
    """The dialect of a file, by its header or as named, and its rows one after the other.

    `lines` are those of a file opened with newline="". Raises FileRefused, also while the rows are read, for
    what is no such file, no CSV, or longer than ROWS_MAX.
    """
    lines = iter(lines)
    first = next(lines, "").removeprefix("\ufeff")
    for delimiter in _DELIMITERS:
        header = _header(first, delimiter)
        found = [dialect for dialect in DIALECTS if _fits(dialect, header, dialect_name)]
        if dialect_name == "auto":
            found = _likeliest(found, header)
        if len(found) > 1:
            names = " or ".join(sorted(dialect.name for dialect in found))
            raise FileRefused(f"the header line could be of {names}; --from says which")
        for dialect in found:
            _require_known(dialect, header)
            return dialect, _rows(dialect, header, chain([first], lines), delimiter)
    if dialect_name == "auto":
        raise FileRefused(
            f"the header line is of none of the formats {', '.join(sorted(d.name for d in DIALECTS))}; --from names one"
        )
    raise FileRefused(f"the header line lacks the columns of a {dialect_name} file")


def _header(line: str, delimiter: str) -> list[str]:
    try:
        cells = next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []
    return [column_name(cell) for cell in cells]


def _fits(dialect: Dialect, header: Sequence[str], dialect_name: str) -> bool:
    if dialect_name == "auto":
        return any(names <= set(header) for names in dialect.known_by)
    slugs = chain.from_iterable(dialect.columns.get(member, ()) for member in ("slug", "custom", "short_url"))
    return (
        dialect.name == dialect_name
        and not set(header).isdisjoint(dialect.columns["long_url"])
        and not set(header).isdisjoint(slugs)
    )


def _likeliest(found: Sequence[Dialect], header: Sequence[str]) -> list[Dialect]:
    """The dialects of which most names stand in the header."""
    told = [max(len(names) for names in dialect.known_by if names <= set(header)) for dialect in found]
    return [dialect for dialect, count in zip(found, told, strict=True) if count == max(told)]


def _require_known(dialect: Dialect, header: Sequence[str]) -> None:
    """Raises FileRefused for a column in which slugs could be lost."""
    for number, name in enumerate(header, 1):
        if dialect.custom_like and dialect.custom_like.search(name) and name not in dialect.columns["custom"]:
            raise FileRefused(f"column {number} could hold custom back-halves: name it custom_bitlinks, or take it out")


def _rows(dialect: Dialect, header: list[str], lines: Iterable[str], delimiter: str) -> Iterator[FileRow]:
    places = {
        member: [header.index(name) for name in names if name in header] for member, names in dialect.columns.items()
    }
    csv.field_size_limit(FIELD_CHARS_MAX)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    count, begins = 0, 1
    try:
        for number, cells in enumerate(reader):
            if number and cells:
                count += 1
                if count > ROWS_MAX:
                    raise FileRefused(f"a file has at most {ROWS_MAX:,} rows")
                yield _row(dialect, places, len(header), cells, begins)
            begins = reader.line_num + 1
    except csv.Error:
        raise FileRefused(f"line {begins} is not CSV: a quotation mark or a field has no end") from None


def _row(dialect: Dialect, places: dict[str, list[int]], width: int, cells: list[str], line: int) -> FileRow:
    texts: dict[str, str] = {}
    for member, columns in places.items():
        told = (_cell(cells[column], dialect.exact) for column in columns if column < len(cells))
        texts[member] = next((text for text in told if text), "")
    # More cells than columns: a quotation mark is missing, and the cells are not what they seem.
    errors = [] if len(cells) <= width else [FieldError("cell_beyond_the_header", "field_unknown")]
    custom = _custom(cells[column] for column in places.get("custom", ()) if column < len(cells))
    if len(custom) > 1:
        errors.append(FieldError("custom_bitlink", "field_type"))
    said: dict[str, Any] = {}
    for member, text in texts.items():
        if text and member not in _NO_MEMBERS:
            try:
                said[member] = _READ.get(member, str)(text)
            except ValueError:
                if dialect.exact:
                    errors.append(FieldError(member, "field_type"))
    utm = {name: said.pop(f"utm_{name}") for name in UTM_NAMES if f"utm_{name}" in said}
    if utm:
        said["utm"] = utm
    # Without its password a link must not be open to everybody.
    if any(texts.get(member, "").lower() not in ("", *_FALSE) for member in ("banned", "password_protected")):
        said["status"] = "disabled"
    slug = next(iter(custom), "") or texts.get("slug", "") or _HOST.sub("", texts.get("short_url", ""), count=1)
    return FileRow(line, slug if dialect.exact else slug.strip("/"), said, tuple(errors))


def _custom(cells: Iterable[str]) -> list[str]:
    """The slugs that cells name, by themselves or by their addresses; each once."""
    named = chain.from_iterable(_ADDRESS.findall(_cell(cell, exact=False)) for cell in cells)
    slugs = (_HOST.sub("", name, count=1) if "/" in name.strip("/") else name for name in named)
    return list(dict.fromkeys(slug for slug in (slug.strip("/") for slug in slugs) if slug))


def _cell(text: str, exact: bool) -> str:
    if exact:
        return armed(text)
    text = text.strip()
    return "" if text.lower() == "null" or text == r"\N" else text


def _yes_or_no(text: str) -> bool:
    word = text.lower()
    if word in (*_TRUE, "archived", "hidden"):
        return True
    if word in _FALSE:
        return False
    raise ValueError("neither yes nor no")


def _whole(text: str) -> int:
    if _NUMBER.fullmatch(text) is None:
        raise ValueError("not a whole number")
    return int(text)


def _tags(text: str) -> list[str]:
    """A JSON array, as we write it, or words between commas."""
    if text.startswith("["):
        try:
            tags = json.loads(text)
        except (ValueError, RecursionError):
            tags = None
        if isinstance(tags, list) and all(isinstance(tag, str) for tag in tags):
            return tags
    return [tag.strip() for tag in text.split(",") if tag.strip()]


_READ: dict[str, Any] = {
    "tags": _tags,
    "archived": _yes_or_no,
    "conversion_tracking": _yes_or_no,
    "forward_query": _yes_or_no,
    "clicks_max": _whole,
    "redirect_status_code": _whole,
    "conversion_window_days": _whole,
}


def cells_of(link: Link, domain_name: str) -> list[str]:
    """A link as a row of our own dialect, in the order of COLUMNS; of a password, whether there is one."""
    return [
        domain_name,
        link.slug,
        link.long_url,
        link.title,
        "" if link.tags == "[]" else link.tags,
        *utm_of(link),
        link.notes,
        link.status,
        _word(link.archived),
        "" if link.expires_at_ms is None else to_rfc3339(link.expires_at_ms),
        "" if link.clicks_max is None else str(link.clicks_max),
        str(link.redirect_status_code),
        _word(link.conversion_tracking),
        "" if link.conversion_window_days is None else str(link.conversion_window_days),
        link.append_policy,
        _word(link.forward_query),
        link.privacy,
        _word(bool(link.password_hash)),
    ]


def _word(value: int) -> str:
    return "true" if value else "false"


def written(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Rows as lines of our own dialect, formulas disarmed. The header is COLUMNS, given as the first row."""
    writer = csv.writer(_Echo(), lineterminator="\r\n")
    for row in rows:
        yield writer.writerow([disarmed(cell) for cell in row])


class _Echo:
    """What the csv module writes to; it hands each line back."""

    def write(self, line: str) -> str:
        return line


def disarmed(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula: an apostrophe goes before what could be one."""
    return "'" + cell if _FORMULA.match(cell) else cell


def armed(cell: str) -> str:
    """A disarmed cell as it was."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
