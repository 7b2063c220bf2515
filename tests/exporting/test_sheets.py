"""Spreadsheets hold every row and every digit, or say that they cannot."""

from __future__ import annotations

import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from nimriz.analytics.tabular import Column
from nimriz.exporting import sheets

COLUMNS = [Column("name", "text"), Column("amount", "amount"), Column("minor", "minor"), Column("tracked", "flag")]


def parts(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as book:
        return {name: book.read(name).decode() for name in book.namelist() if name.startswith("xl/")}


def test_what_a_sheet_cannot_hold_goes_on_in_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "SHEET_ROWS_MAX", 3)
    rows: list[tuple[Any, ...]] = [(f"row {number}", None, None, None) for number in range(7)]
    path = tmp_path / "part"
    assert sheets.write(path, "clicks", COLUMNS, [rows[:2], rows[2:]]) == 7
    found = parts(path)
    pages = [found[f"xl/worksheets/sheet{number}.xml"] for number in (1, 2, 3)]
    assert [page.count("<row ") for page in pages] == [4, 4, 2]
    assert 'name="clicks 3"' in found["xl/workbook.xml"]
    assert [f">row {number}<" in pages[number // 3] for number in range(7)] == [True] * 7
    assert all(">amount<" in page for page in pages)


def test_amounts_are_numbers_as_long_as_every_digit_is_kept(tmp_path: Path) -> None:
    rows = [("=1", "-129.90", Decimal(-12990), True), ("http://a.example/", "12345678901234.56", Decimal(2**63), False)]
    sheets.write(tmp_path / "part", "x", COLUMNS, [rows])
    page = parts(tmp_path / "part")["xl/worksheets/sheet1.xml"]
    assert "<v>-129.9</v>" in page
    assert "<v>-12990</v>" in page
    assert ">12345678901234.56</t>" in page
    assert f">{2**63}</t>" in page
    assert ">=1</t>" in page
    assert "<f>" not in page


def test_a_text_that_no_cell_holds_is_said(tmp_path: Path) -> None:
    with pytest.raises(sheets.CellTooLong):
        sheets.write(tmp_path / "part", "x", COLUMNS, [[("x" * (sheets.CELL_CHARS_MAX + 1), None, None, None)]])
