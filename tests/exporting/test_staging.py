"""What an earlier attempt finished is kept to the last byte, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from nimriz.analytics.tabular import Column
from nimriz.core.exports.exports import Made
from nimriz.exporting.staging import Frame, Spoiled, Stage

FRAME = Frame([Column("n", "count")], 0, {"outcomes": 7}, 5, 4, None)
MADE = Made('{"files": [{"name": "x.csv", "bytes": 3}]}', "", 4)


def begun(folder: Path, *, grows: bool = True) -> Stage:
    """A stage with two parts of two rows each."""
    stage = Stage(folder, "version 1", grows=grows)
    assert (stage.frame, stage.made) == (None, None)
    stage.begin(FRAME, b"n\n" if grows else b"")
    for number, text in enumerate((b"1\n2\n", b"3\n4\n"), 1):
        (folder / "piece").write_bytes(text)
        stage.add(folder / "piece", 2, number)
    return stage


@pytest.mark.parametrize("grows", [True, False])
def test_what_is_noted_is_kept_and_the_rest_is_not(tmp_path: Path, grows: bool) -> None:
    folder = tmp_path / "export"
    begun(folder, grows=grows)
    with (folder / "growing").open("ab") as torn:
        torn.write(b"5\n6")
    (folder / "piece").write_bytes(b"7")
    (folder / "sheets").mkdir()
    again = Stage(folder, "version 1", grows=grows)
    assert (again.frame, again.rows, again.goes_on) == (FRAME, 4, 2)
    assert b"".join(path.read_bytes() for path in again.paths()) == (b"n\n" if grows else b"") + b"1\n2\n3\n4\n"
    names = ["growing", "journal"] if grows else ["000000.parquet", "000001.parquet", "journal"]
    assert sorted(path.name for path in folder.iterdir()) == names


@pytest.mark.parametrize("grows", [True, False])
def test_what_was_changed_behind_its_back_is_said(tmp_path: Path, grows: bool) -> None:
    folder = tmp_path / "export"
    begun(folder, grows=grows)
    path = folder / ("growing" if grows else "000001.parquet")
    path.write_bytes(path.read_bytes().replace(b"4", b"9"))
    with pytest.raises(Spoiled):
        Stage(folder, "version 1", grows=grows).paths()


@pytest.mark.parametrize("lost", ["growing", "journal"])
def test_where_something_is_missing_it_begins_anew(tmp_path: Path, lost: str) -> None:
    folder = tmp_path / "export"
    begun(folder)
    (folder / lost).write_bytes((folder / lost).read_bytes()[:-1])
    assert Stage(folder, "version 1", grows=True).frame is None
    assert not any(folder.iterdir())


def test_another_version_or_another_start_begins_anew(tmp_path: Path) -> None:
    folder = tmp_path / "export"
    begun(folder)
    assert Stage(folder, "version 2", grows=True).frame is None


def test_what_has_its_name_is_only_presented(tmp_path: Path) -> None:
    folder = tmp_path / "export"
    stage = begun(folder)
    (folder / "growing").rename(folder / "x.csv")
    stage.note_made(MADE)
    (folder / "left").write_bytes(b"x")
    assert Stage(folder, "version 1", grows=True).made == MADE
    stage.forget()
    assert [path.name for path in folder.iterdir()] == ["x.csv"]
