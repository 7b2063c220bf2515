"""The commands: what they print, what they refuse, and in which words."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.patience import until
from tests.world import Served, Workspace, lead

Done = subprocess.CompletedProcess[bytes]


def printed(done: Done) -> Any:
    return json.loads(done.stdout)


def sentence(done: Done) -> str:
    """What a command that said no said: one sentence on standard error, and nothing else."""
    assert (done.returncode, done.stdout) == (1, b""), done
    told = done.stderr.decode()
    assert told.count("\n") == 1, told
    assert told.endswith(".\n"), told
    assert told[0].isupper(), told
    return told[:-1]


# --- workspaces, secrets, keys ---------------------------------------------------------------------------------


def test_a_new_workspace_is_printed_with_exactly_what_its_owner_needs(served: Served) -> None:
    made = printed(served.run("workspace", "create", "Alice's shop", "--json"))
    assert list(made) == [
        "workspace_id", "workspace_name", "api_key", "signing_secret", "test_signing_secret", "domain_id", "domain_name"
    ]  # fmt: skip
    assert made["workspace_name"] == "Alice's shop"
    assert made["domain_name"] == "localhost"
    assert re.fullmatch(r"nimkey_[A-Za-z0-9_-]{43}", made["api_key"])
    assert re.fullmatch(r"nimsec_live_[A-Za-z0-9_-]{43}", made["signing_secret"])
    assert re.fullmatch(r"nimsec_test_[A-Za-z0-9_-]{43}", made["test_signing_secret"])


def test_a_workspace_made_beside_a_running_server_works_at_once(world: Workspace) -> None:
    who = world.get("/api/v1/whoami").json()
    assert (who["workspace_id"], who["workspace_name"]) == (world.workspace_id, "Alice's shop")
    assert world.post(lead("crm-1", external_id="c-1")).status_code == 201


def test_a_second_secret_signs_beside_the_first_until_it_is_revoked(world: Workspace) -> None:
    made = printed(world.served.run("secret", "create", world.workspace_id, "--json"))
    assert list(made) == ["secret_id", "mode", "signing_secret"]
    assert made["mode"] == "live"
    secret = made["signing_secret"]
    until(lambda: world.post(lead("crm-1"), secret=secret).is_success)
    assert world.post(lead("crm-2")).status_code == 201
    world.served.run("secret", "revoke", world.workspace_id, made["secret_id"])
    until(lambda: world.post(lead("crm-1"), secret=secret).status_code == 401)
    assert world.post(lead("crm-3")).status_code == 201


def test_a_test_secret_is_made_for_test_events(world: Workspace) -> None:
    made = printed(world.served.run("secret", "create", world.workspace_id, "--test", "--json"))
    assert made["mode"] == "test"
    assert made["signing_secret"].startswith("nimsec_test_")


def test_a_list_never_shows_a_secret_or_a_key(world: Workspace) -> None:
    secrets = [world.signing_secret, world.test_signing_secret, world.api_key]
    for kind, members in {
        "secret": ["secret_id", "mode", "ends_in", "created_at", "last_used_at", "revoked_at", "unused_90_days"],
        "key": ["key_id", "name", "ends_in", "scopes", "created_at", "revoked_at"],
    }.items():
        as_json = world.served.run(kind, "list", world.workspace_id, "--json")
        assert [list(row) for row in printed(as_json)] == [members] * (2 if kind == "secret" else 1)
        shown = as_json.stdout + world.served.run(kind, "list", world.workspace_id).stdout
        for secret in secrets:
            assert secret.partition("_")[2].removeprefix("live_").removeprefix("test_")[:-4].encode() not in shown


def test_a_key_does_what_its_scopes_allow_until_it_is_revoked(world: Workspace) -> None:
    made = printed(
        world.served.run("key", "create", world.workspace_id, "--scope", "links:read", "--name", "n8n", "--json")
    )
    assert list(made) == ["key_id", "scopes", "api_key"]
    bearer = {"Authorization": f"Bearer {made['api_key']}"}
    assert world.client.get("/api/v1/links", headers=bearer).status_code == 200
    assert world.client.get("/api/v1/analytics/conversions", headers=bearer).status_code == 403
    assert [key["name"] for key in printed(world.served.run("key", "list", world.workspace_id, "--json"))][1] == "n8n"
    world.served.run("key", "revoke", world.workspace_id, made["key_id"])
    until(lambda: world.client.get("/api/v1/links", headers=bearer).status_code == 401)


def test_what_is_not_there_cannot_be_listed_or_revoked(world: Workspace, stranger: Workspace) -> None:
    run, nobody = world.served.run, world.workspace_id[:-4] + "0000"
    for kind in ("secret", "key"):
        assert sentence(run(kind, "list", nobody, check=False)).startswith("There is no workspace with this id")
        assert sentence(run(kind, "create", nobody, check=False)).startswith("There is no workspace with this id")
        (theirs, *_) = printed(run(kind, "list", stranger.workspace_id, "--json"))
        told = sentence(run(kind, "revoke", world.workspace_id, theirs[f"{kind}_id"], check=False))
        assert told.startswith(f"This workspace has no such live {kind}")


# --- sign, send ------------------------------------------------------------------------------------------------


def test_sign_prints_headers_that_verify_for_the_body_byte_for_byte(world: Workspace) -> None:
    body = json.dumps(lead("crm-1")).encode() + b" \r\n\n"
    done = world.served.run("sign", "--secret", world.signing_secret, body=body)
    headers = dict(line.split(": ", 1) for line in done.stdout.decode().splitlines())
    assert list(headers) == ["X-Nim-Timestamp", "X-Nim-Signature"]
    url = f"/api/conversions/callback/{world.workspace_id}"
    headers["Content-Type"] = "application/json"
    assert world.client.post(url, content=body, headers=headers).status_code == 201
    assert world.client.post(url, content=body.rstrip(), headers=headers).json()["code"] == "signature_mismatch"


def test_sign_takes_a_timestamp_and_its_secret_from_the_environment(data_dir: Path) -> None:
    shell = Served(data_dir, {"NIMRIZ_SIGNING_SECRET": "nimsec_live_x"})
    headers = printed(shell.run("sign", "--timestamp", "1795428000", "--json", body=b"\xff\x00\n"))
    expected = hmac.new(b"nimsec_live_x", b"1795428000.\xff\x00\n", hashlib.sha256).hexdigest()
    assert headers == {"X-Nim-Timestamp": "1795428000", "X-Nim-Signature": f"v1={expected}"}


def send(world: Workspace, *arguments: str, body: bytes, secret: str = "") -> Done:
    served = Served(world.served.data_dir, {"NIMRIZ_SIGNING_SECRET": secret or world.signing_secret}, world.served.port)
    return served.run("send", world.workspace_id, *arguments, body=body, check=False)


def test_send_posts_an_event_and_prints_the_answer(world: Workspace) -> None:
    rehearsed = send(world, "--validate-only", body=json.dumps(lead("crm-1")).encode())
    assert (rehearsed.returncode, printed(rehearsed)["status"]) == (0, "valid")
    done = send(world, body=json.dumps(lead("crm-1")).encode() + b"\n")
    assert (done.returncode, printed(done)["status"], printed(done)["duplicate"]) == (0, "recorded", False)
    assert world.event("crm-1")["event"]["event_name"] == "lead"


def test_send_posts_a_batch(world: Workspace) -> None:
    done = send(world, "--batch", body=json.dumps({"events": [lead("crm-1"), lead("crm-2")]}).encode())
    assert done.returncode == 0
    assert [result["http_status"] for result in printed(done)["results"]] == [201, 201]


def test_send_exits_1_when_the_event_is_refused(world: Workspace) -> None:
    for body, secret, code in [
        (b'{"event_name": "lead"}', "", "validation_failed"),
        (b"{}", "nimsec_live_another", "signature_mismatch"),
    ]:
        done = send(world, body=body, secret=secret)
        assert (done.returncode, printed(done)["code"]) == (1, code)


def test_send_says_when_nobody_answers(world: Workspace) -> None:
    done = send(world, "--url", f"http://localhost:{Served(world.served.data_dir).port}", body=b"{}")
    assert sentence(done).startswith("Nobody answered at http://localhost:")


# --- usage -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "",
        "destroy",
        "workspace create",
        "workspace create --shout x",
        "workspace create " + "x" * 101,
        "workspace plan 1 platinum",
        "key create 1 --scope everything",
        "serve --port 0",
        "serve --port many",
        "send",
        "sign",
    ],
)
def test_wrong_usage_exits_2_and_makes_nothing(data_dir: Path, line: str) -> None:
    done = Served(data_dir).run(*line.split(), check=False)
    assert done.returncode == 2, done
    assert b"Traceback" not in done.stderr
    assert list(data_dir.parent.iterdir()) == []


def test_a_setting_that_cannot_be_is_named(data_dir: Path) -> None:
    done = Served(data_dir, {"NIMRIZ_BACKLOG": "many"}).run("workspace", "list", check=False)
    assert sentence(done) == "A setting has a value that it cannot have: NIMRIZ_BACKLOG."
    for command in ("serve", "doctor"):
        done = Served(data_dir, {"NIMRIZ_APP_URL": "https://go.example.com/base"}).run(command, check=False)
        assert sentence(done) == "A setting has a value that it cannot have: NIMRIZ_APP_URL."


# --- serve -----------------------------------------------------------------------------------------------------


def refusal(done: Done) -> str:
    """The last line of a server that did not start; what it had begun may stand before."""
    assert (done.returncode, done.stdout) == (1, b""), done
    assert b"Traceback" not in done.stderr
    return done.stderr.decode().splitlines()[-1]


def test_a_second_server_on_one_data_directory_is_refused(served: Served) -> None:
    second = Served(served.data_dir)
    assert refusal(second.run("serve", check=False)) == f"Another nimriz serves {served.data_dir}."
    assert served.run("doctor").returncode == 0


def test_a_taken_port_and_an_address_of_another_machine_are_refused(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = Served(data_dir, port=taken.getsockname()[1])
        for host in ("127.0.0.1", "192.0.2.1"):
            told = refusal(server.run("serve", "--host", host, check=False))
            assert told == f"Port {server.port} on {host} is taken, or that is no address of this machine."


@pytest.mark.parametrize("command", [["serve"], ["workspace", "list"]])
def test_data_whose_master_key_is_missing_or_another_is_not_opened(data_dir: Path, command: list[str]) -> None:
    server = Served(data_dir)
    server.run("workspace", "create", "Alice's shop")
    key = data_dir.with_name("data.master-key")
    right = key.read_bytes()
    key.unlink()
    told = sentence(server.run(*command, check=False))
    assert told.startswith(f"The master key is missing: {key} is not there")
    assert not key.exists()
    key.write_bytes(base64.b64encode(b"x" * 32))
    told = sentence(server.run(*command, check=False))
    assert told == "The master key is not the one that this data was made with."
    key.write_bytes(b"not base64!")
    told = sentence(server.run(*command, check=False))
    assert told == "The master key cannot be read: 32 bytes in base64 are expected."
    key.write_bytes(right)
    assert b"Alice's shop" in server.run("workspace", "list").stdout
