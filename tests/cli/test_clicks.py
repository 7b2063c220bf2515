"""nimriz clicks rejudge: beside a running server, twice without a difference."""

from __future__ import annotations

import json
from functools import partial

from nimriz.core.clicks import judgments
from nimriz.core.clicks.judgments import Judgment
from nimriz.store.sqlite import Sqlite
from tests.world import Workspace


def test_clicks_are_judged_again_beside_a_running_server_and_a_second_time_nothing_changes(world: Workspace) -> None:
    made = world.link()
    for _ in range(3):
        world.location(made["short_code"])
    world.served.run("clicks", "rejudge")
    log = Sqlite(world.served.data_dir / "clicks-0.db")
    seqs = [
        row[0] for row in log.read(lambda tx: tx.all("select seq from clicks where link_id = :l", {"l": made["id"]}))
    ]
    # As if an earlier version had judged otherwise.
    wrong = [Judgment(seqs[0], made["id"], 0, "bot", "prefetch"), Judgment(seqs[1], made["id"], 0, "bot", "prefetch")]
    log.write(partial(judgments.append, judgments=wrong))
    path = f"/api/v1/links/{made['id']}/analytics"
    assert world.get(path).json()["totals"]["clicks"] == 1
    done = world.served.run("clicks", "rejudge", "--json")
    told = json.loads(done.stdout)
    changes = [{"from": "bot", "to": "human", "clicks": 1}, {"from": "bot", "to": "suspect", "clicks": 1}]
    assert (told["changed"], told["changes"]) == (2, changes)
    assert told["clicks"] >= 3
    logged = json.loads(done.stderr)
    assert (logged["event"], logged["changed"], logged["changes"]) == ("clicks_rejudged", 2, changes)
    assert world.get(path).json()["totals"]["clicks"] == 3
    again = json.loads(world.served.run("clicks", "rejudge", "--json").stdout)
    assert (again["changed"], again["changes"]) == (0, [])
    assert b"changed" in world.served.run("clicks", "rejudge").stdout
    assert not (world.served.data_dir / "clicks-1.db").exists()
    log.close()
