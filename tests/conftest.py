"""What every test may ask for."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.world import Served, Workspace, create_workspace, serving

# The same examples in every run, and no clock: a run is red for what has changed, never for its luck or its machine.
# NIMRIZ_FRESH_EXAMPLES=1 tries others than the last time.
settings.register_profile(
    "suite",
    deadline=None,
    database=None,
    derandomize=not os.environ.get("NIMRIZ_FRESH_EXAMPLES"),
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("suite")

DAY_S = 86_400
BEFORE_MIDNIGHT_S = 30


@pytest.fixture(autouse=True)
def no_new_day() -> None:
    """A day ends at midnight UTC, and a visitor is another one then: no test begins just before."""
    left_s = DAY_S - time.time() % DAY_S
    if left_s < BEFORE_MIDNIGHT_S:
        time.sleep(left_s + 1)


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
