"""Tables as files: what stands in a text stands in the file, and no spreadsheet runs it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nimriz.analytics import tabular
from nimriz.analytics.tabular import Column
from nimriz.core.links.link_files import disarmed

COLUMNS = [Column("text", "text"), Column("at", "instant"), Column("minor", "minor"), Column("raw", "json")]
TEXTS = st.lists(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
        st.text("'=+-@\t\r\n＝＋－＠,\"\\a", max_size=6),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS)
def test_texts_come_back_and_formulas_are_disarmed_as_everywhere(tmp_path: Path, texts: list[str]) -> None:
    staged = tmp_path / "staged"
    rows = [{"text": text, "at": 1_795_565_758_123, "minor": 2**70, "raw": json.dumps({"a": text})} for text in texts]
    staged.write_bytes(b"".join(msgspec.json.encode({**row, "minor": str(2**70)}) + b"\n" for row in rows))
    assert tabular.convert(staged, COLUMNS, tmp_path / "csv", "csv") == len(texts)
    with (tmp_path / "csv").open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file, [column.name for column in COLUMNS]))
    assert [row["text"] for row in found] == [disarmed(text) for text in texts]
    assert {(row["at"], row["minor"]) for row in found} == {("2026-11-25T00:15:58.123Z", str(2**70))}
    tabular.convert(staged, COLUMNS, tmp_path / "ndjson", "ndjson")
    told = [json.loads(line) for line in (tmp_path / "ndjson").read_bytes().split(b"\n") if line]
    assert [(row["text"] or "", row["raw"]) for row in told] == [(text, {"a": text}) for text in texts]
    tabular.convert(staged, COLUMNS, tmp_path / "parquet", "parquet")
    read = [row for batch in tabular.rows_of([tmp_path / "parquet"], COLUMNS) for row in batch]
    assert [(row[0] or "", row[1], int(row[2])) for row in read] == [
        (text, "2026-11-25T00:15:58.123Z", 2**70) for text in texts
    ]
