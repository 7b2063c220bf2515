"""What the tests of this folder may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nimriz.store.sqlite import Sqlite
from tests.store.notes import CREATE


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database lies."""
    return tmp_path / "records.db"


@pytest.fixture
def database(path: Path) -> Iterator[Sqlite]:
    """A database with one empty table."""
    with_table = Sqlite(path)
    with_table.write(lambda tx: tx.run(CREATE))
    yield with_table
    with_table.close()
