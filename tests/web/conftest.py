"""What the tests of this folder may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.place import Place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """An installation with one workspace."""
    made = Place(tmp_path / "records.db")
    yield made
    made.close()
