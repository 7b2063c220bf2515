"""Scanners of mail: who comes out of a data centre in a burst is no person, unless something is bought."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mmdb import Value, mmdb
from tests.patience import until
from tests.stories.visitor import visit
from tests.world import Body, Workspace, create_workspace, sale, serving

NETWORKS: dict[str, Value] = {
    "192.0.2.0/24": {"autonomous_system_number": 64496, "autonomous_system_organization": "Amazon.com, Inc."},
    "198.51.100.0/24": {"autonomous_system_number": 64497, "autonomous_system_organization": "Proofpoint, Inc."},
    "203.0.113.0/24": {"autonomous_system_number": 64498, "autonomous_system_organization": "Example Telecom"},
}
SCANNED = ("bot", "scanner_burst")


@pytest.fixture(scope="module")
def mailed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace on a server with a file of networks, behind a proxy that is trusted."""
    folder = tmp_path_factory.mktemp("mailed")
    (folder / "networks.mmdb").write_bytes(mmdb(NETWORKS))
    with serving(folder / "data", trusted_proxies="127.0.0.1", network_file=str(folder / "networks.mmdb")) as served:
        workspace = create_workspace(served)
        yield workspace
        workspace.client.close()


def click(world: Workspace, link: Body, address: str) -> str:
    """A click from an address; its token."""
    reply = visit(world, f"/{link['short_code']}", X_Forwarded_For=address)
    assert reply.status == 302
    return (reply.header("location") or "").partition("nim_ct=")[2]


def judged(world: Workspace, link: Body) -> list[tuple[str, str | None]]:
    """What is thought of the clicks of a link, the newest first."""
    told = world.get("/api/v1/clicks", link_id=link["id"]).json()["clicks"]
    return [(each["quality"], each["reason"]) for each in told]


def test_one_click_is_worth_what_its_network_says(mailed: Workspace) -> None:
    link = mailed.link()
    for address in ("203.0.113.7", "198.51.100.7", "192.0.2.7"):
        click(mailed, link, address)
    assert judged(mailed, link) == [("suspect", "data_centre"), ("bot", "email_scanner"), ("human", None)]


def test_a_burst_is_no_persons_from_its_first_click_on_and_whoever_buys_stays_one(mailed: Workspace) -> None:
    tokens: list[str] = []
    links: list[Body] = []

    def scanned() -> bool:
        # Again where the machine stood still for so long that it was no burst.
        links[:] = [mailed.link() for _ in range(6)]
        tokens[:] = [click(mailed, link, f"192.0.2.{n}") for n, link in enumerate(links, 1)]
        return [judged(mailed, link) for link in links] == [[SCANNED]] * 6

    until(scanned)
    assert mailed.post(sale("bought", click_id=tokens[0])).status_code == 201
    until(lambda: judged(mailed, links[0]) == [("human", "converted")])
    told = mailed.served.run("clicks", "rejudge", "--json").stdout
    assert b'"changed": 0' in told
    assert [judged(mailed, link) for link in links] == [[("human", "converted")], *[[SCANNED]] * 5]


def test_no_address_is_kept_for_it(mailed: Workspace) -> None:
    click(mailed, mailed.link(), "192.0.2.249")
    folder: Path = mailed.served.data_dir
    kept = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert b"192.0.2." not in kept
    assert b"Amazon" not in kept
