"""Spreadsheets: rows as XLSX, one after the other, never all in memory. Texts are texts: no formula and no link.

A sheet has at most 1,048,576 rows; what is more goes on in the next sheet, under the same heads. An amount is a number
as long as a spreadsheet keeps its digits, and a text beyond.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import xlsxwriter
from xlsxwriter.exceptions import FileCreateError

from nimriz.analytics.tabular import Column

SHEET_ROWS_MAX = 1_048_575
"""Rows under the heads of one sheet."""
CELL_CHARS_MAX = 32_767
EXACT_DIGITS_MAX = 15
_OPTIONS = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}


class CellTooLong(Exception):
    """A text has more characters than a cell of a spreadsheet keeps."""


def write(path: Path, title: str, columns: Sequence[Column], batches: Iterable[list[tuple[Any, ...]]]) -> int:
    """Write rows to a file; how many they were. Raises CellTooLong and OSError."""
    folder = path.with_name("sheets")
    folder.mkdir()
    book = xlsxwriter.Workbook(str(path), {**_OPTIONS, "tmpdir": str(folder)})
    # More than 4 GiB need it; less does not notice.
    book.use_zip64()
    try:
        count = _write_rows(book, title, columns, batches)
    finally:
        _close(book)
    return count


def _write_rows(book: Any, title: str, columns: Sequence[Column], batches: Iterable[list[tuple[Any, ...]]]) -> int:
    sheet = _sheet(book, title, columns)
    count, line, number = 0, 1, 1
    for batch in batches:
        for row in batch:
            if line > SHEET_ROWS_MAX:
                number += 1
                sheet, line = _sheet(book, f"{title} {number}", columns), 1
            _write_row(sheet, line, columns, row)
            line += 1
            count += 1
    return count


def _close(book: Any) -> None:
    """Put the file together. Raises OSError."""
    try:
        book.close()
    except FileCreateError as error:
        raise OSError(errno.ENOSPC, "the file cannot be written") from error


def _sheet(book: Any, name: str, columns: Sequence[Column]) -> Any:
    sheet = book.add_worksheet(name)
    sheet.freeze_panes(1, 0)
    for place, column in enumerate(columns):
        sheet.write_string(0, place, column.name)
    return sheet


def _write_row(sheet: Any, line: int, columns: Sequence[Column], row: tuple[Any, ...]) -> None:
    for place, (column, value) in enumerate(zip(columns, row, strict=True)):
        if value is None:
            continue
        if isinstance(value, bool):
            sheet.write_boolean(line, place, value)
        elif isinstance(value, float) or _is_exact(column, value):
            sheet.write_number(line, place, float(value))
        else:
            text = str(value)
            if len(text) > CELL_CHARS_MAX:
                raise CellTooLong
            sheet.write_string(line, place, text)


def _is_exact(column: Column, value: Any) -> bool:
    if column.kind not in ("count", "minor", "amount"):
        return False
    return len(Decimal(value).as_tuple().digits) <= EXACT_DIGITS_MAX
