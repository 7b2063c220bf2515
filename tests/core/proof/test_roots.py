"""Roots: appended to a file outside the database, each once, whatever became of the file meanwhile."""

from __future__ import annotations

from pathlib import Path

from nimriz.core.proof import roots
from tests.sealed import sealed_ledger


def test_each_root_is_appended_once_and_a_torn_line_is_written_again(tmp_path: Path) -> None:
    with sealed_ledger() as sealed:
        path = roots.file_of(tmp_path)
        assert path == tmp_path / "nimriz-roots.ndjson"
        count = roots.publish(sealed.database, path)
        whole = path.read_bytes()
        assert count == len(whole.splitlines()) > 5
        assert roots.publish(sealed.database, path) == 0
        assert path.read_bytes() == whole
        path.write_bytes(whole[:-20])
        assert roots.publish(sealed.database, path) == 1
        assert path.read_bytes() == whole[:-20] + b"\n" + whole.splitlines(keepends=True)[-1]


def test_a_file_that_was_moved_away_begins_anew_and_a_strange_one_is_left_as_it_is(tmp_path: Path) -> None:
    with sealed_ledger() as sealed:
        path = roots.file_of(tmp_path / "roots")
        count = roots.publish(sealed.database, path)
        path.unlink()
        assert roots.publish(sealed.database, path) == count
        path.write_bytes(b"somebody's notes")
        assert roots.publish(sealed.database, path) == count
        assert path.read_bytes().startswith(b"somebody's notes\n{")
