"""What the stories share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.world import Served, Workspace, create_workspace


@pytest.fixture(scope="module")
def shop(served: Served) -> Iterator[Workspace]:
    """One workspace for a whole file of independent requests."""
    workspace = create_workspace(served, "The shop")
    yield workspace
    workspace.client.close()
