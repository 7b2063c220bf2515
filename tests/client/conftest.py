"""A workspace, and a way to it that may fail."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nimriz.client import AsyncClient, Client, Patience
from tests.client.faulty import Faulty, faulty
from tests.world import Served, Workspace, create_workspace

# Short pauses, so that a test is over soon; a deadline that only a test in vain ever meets.
QUICKLY = Patience(deadline_s=60.0, attempt_s=30.0, first_wait_s=0.02, wait_s_max=0.1)


@pytest.fixture(scope="module")
def shop(served: Served) -> Iterator[Workspace]:
    """One workspace for a whole file."""
    workspace = create_workspace(served, "The shop")
    yield workspace
    workspace.client.close()


@pytest.fixture
def proxy(served: Served) -> Iterator[Faulty]:
    """What stands between the client and the server."""
    with faulty(served.url) as running:
        yield running


def client_of(shop: Workspace, url: str, patience: Patience = QUICKLY, secret: str = "") -> Client:
    """A client of the shop at an address."""
    return Client(url, shop.workspace_id, secret or shop.signing_secret, patience=patience)


def async_client_of(shop: Workspace, url: str, patience: Patience = QUICKLY) -> AsyncClient:
    """The same for an event loop."""
    return AsyncClient(url, shop.workspace_id, shop.signing_secret, patience=patience)


@pytest.fixture
def client(shop: Workspace, proxy: Faulty) -> Iterator[Client]:
    """A client that goes through the proxy."""
    with client_of(shop, proxy.url) as running:
        yield running
