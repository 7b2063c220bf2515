"""What every test may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.world import Served, Workspace, create_workspace, serving


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A running server with a data directory of its own, shared by the tests of a file."""
    with serving(tmp_path_factory.mktemp("installation") / "data") as running:
        yield running


@pytest.fixture
def world(served: Served) -> Iterator[Workspace]:
    """A new workspace on the running server: Alice's."""
    workspace = create_workspace(served)
    yield workspace
    workspace.client.close()


@pytest.fixture
def stranger(served: Served) -> Iterator[Workspace]:
    """Another workspace on the same server: Charlie's."""
    workspace = create_workspace(served, "Charlie's shop")
    yield workspace
    workspace.client.close()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Where a test may put an installation of its own."""
    return tmp_path / "data"
