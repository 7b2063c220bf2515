"""The signing vectors, on the wire: the server's clock stands where each case says."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from nimriz.base.ids import new_id
from nimriz.core.directory import changes
from nimriz.installation import open_installation
from nimriz.store.db import Tx
from tests.stories import raw
from tests.world import Served, create_workspace

Case = dict[str, Any]
CASES: list[Case] = json.loads((Path(__file__).parents[1] / "vectors" / "signing.json").read_text("utf-8"))["cases"]
# A server strips the blanks around a header's value, so these never reach the function over HTTP.
CARRIED = [case for case in CASES if not (case["timestamp"] or "").startswith(" ")]
TRIES = 20


class Rehearsal:
    """One installation whose workspaces hold the vectors' secrets, served at any time of day."""

    def __init__(self, data_dir: Path) -> None:
        self.served = Served(data_dir)
        self.lead_s = 2
        self.workspaces: dict[tuple[str, ...], str] = {}
        for case in CASES:
            secrets = tuple(case["secrets"])
            if secrets not in self.workspaces:
                workspace = create_workspace(self.served)
                workspace.client.close()
                self.workspaces[secrets] = workspace.workspace_id
                self._put(workspace.workspace_id, secrets)

    def _put(self, workspace_id: str, secrets: tuple[str, ...]) -> None:
        installation = open_installation(self.served.settings())
        now_ms = installation.clock.now_ms()

        def write(tx: Tx) -> None:
            tx.run("delete from signing_secrets where workspace_id = :w", {"w": workspace_id})
            for number, secret in enumerate(secrets):
                secret_id = new_id(now_ms + number)
                tx.run(
                    "insert into signing_secrets (secret_id, workspace_id, mode, hint, sealed, created_at_ms) "
                    "values (:i, :w, 'live', 'test', :s, :n)",
                    {
                        "i": secret_id,
                        "w": workspace_id,
                        "s": installation.vault.seal(secret.encode(), secret_id.encode()),
                        "n": now_ms,
                    },
                )
            changes.note(tx, "secret", workspace_id, now_ms)

        try:
            installation.records.write(write)
        finally:
            installation.close()

    def at(self, now_s: int, cases: list[Case]) -> dict[str, tuple[int, str]]:
        """Serve so that the clock reads `now_s`, and send the cases within that second."""
        # Far from the tolerance a few seconds more change no verdict.
        late_s_max = 0 if any(case["timestamp"] and abs(now_s - 1_764_000_000) >= 300 for case in cases) else 60
        for _ in range(TRIES):
            began_s = time.monotonic()
            offset_s = now_s - int(time.time()) - self.lead_s
            self.served.env["NIMRIZ_CLOCK_OFFSET_S"] = str(offset_s)
            self.served.start()
            took_s = time.monotonic() - began_s
            try:
                time.sleep(max(0.0, now_s + 0.05 - (time.time() + offset_s)))
                began = int(time.time()) + offset_s
                verdicts = {case["name"]: self._send(case) for case in cases}
                ended = int(time.time()) + offset_s
            finally:
                self.served.stop()
            if now_s <= began <= ended <= now_s + late_s_max:
                return verdicts
            self.lead_s = int(took_s * 1.5) + 2
        raise AssertionError("the machine is too slow to send these within one second")

    def _send(self, case: Case) -> tuple[int, str]:
        headers: list[raw.Header] = [("Content-Type", "application/json")]
        if case["timestamp"] is not None:
            headers.append(("X-Nim-Timestamp", case["timestamp"].encode()))
        if case["signature"] is not None:
            headers.append(("X-Nim-Signature", case["signature"].encode()))
        path = f"/api/conversions/callback/{self.workspaces[tuple(case['secrets'])]}"
        reply = raw.send(self.served.port, "POST", path, headers, bytes.fromhex(case["body_hex"]))
        return reply.status, reply.code or ""


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Rehearsal:
    return Rehearsal(tmp_path_factory.mktemp("signing") / "data")


@pytest.mark.parametrize("now_s", sorted({case["now"] for case in CARRIED}))
def test_every_vector_gets_its_verdict_when_the_clock_reads(rehearsal: Rehearsal, now_s: int) -> None:
    cases = [case for case in CARRIED if case["now"] == now_s]
    verdicts = rehearsal.at(now_s, cases)
    wrong = {}
    for case in cases:
        status, code = verdicts[case["name"]]
        right = status in (200, 201, 400, 422) if case["verdict"] == "ok" else (status, code) == (401, case["verdict"])
        if not right:
            wrong[case["name"]] = (case["verdict"], status, code)
    assert wrong == {}
