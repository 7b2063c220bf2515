"""The documents say what is there, and what they tell people to type works.

A block is marked in its info string: `sh test` is run, `json expect` is part of what the block before it printed ("…"
stands for anything), `json event` is an event that is sent, `sh serve` starts the service.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast
from wsgiref.util import setup_testing_defaults

import httpx2
import pytest
from fastapi.routing import APIRoute

from nimriz.base.errors import CODES, FIELD_CODES
from nimriz.core.directory.credentials import SCOPES
from nimriz.core.directory.entitlements import PLANS, SURFACES
from nimriz.web.api import app as api
from nimriz.web.api.desk import Desk
from tests.ports import own_port
from tests.world import SLOWLY_S, Served, Workspace

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```(\w+) (test|serve|expect|event)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARK = "--- nimriz: end of block ---"
EVENT_TIME = "2026-11-23T10:00:00Z"
# By hand, since starting a Python for each event takes most of the time.
POST_EVENT = """
post_event() {
    now=$(date +%s)
    signature=$(printf '%s.%s' "$now" "$1" | openssl dgst -sha256 -hmac "$NIMRIZ_SIGNING_SECRET" | sed 's/^.*= //')
    curl -s "$URL/api/conversions/callback/$WORKSPACE" -H "Content-Type: application/json" \\
        -H "X-Nim-Timestamp: $now" -H "X-Nim-Signature: v1=$signature" --data-binary "$1"
}"""
# By language: the event that its recipe sends, the file that it is written into, and how that is run.
ELSEWHERE = {
    "js": ("node-1", "send.js", "node send.js"),
    "php": ("php-1", "send.php", "php send.php"),
    "ruby": ("ruby-1", "send.rb", "ruby send.rb"),
    "go": ("go-1", "send.go", "go run send.go"),
    "java": ("java-1", "Send.java", "java Send.java"),
    "csharp": ("csharp-1", "Send.cs", "mcs -r:System.Net.Http Send.cs && mono Send.exe"),
}
GUIDES = ["docs/guides/operator.md", "docs/guides/marketer.md", "docs/guides/engineer.md", "docs/guides/client.md"]
SHOP_PORT = "8123"


class Block(NamedTuple):
    """One marked block of a document."""

    language: str
    use: str
    text: str


def read(path: str) -> str:
    return (ROOT / path).read_text("utf-8")


def blocks(path: str) -> list[Block]:
    return [Block(*found) for found in BLOCK.findall(read(path))]


def rows(text: str, *, under: str = "") -> list[list[str]]:
    """The cells of every table row, or of those under one heading."""
    if under:
        text = re.split(rf"^#+ {re.escape(under)}$", text, maxsplit=1, flags=re.MULTILINE)[1]
        text = re.split(r"^## ", text, maxsplit=1, flags=re.MULTILINE)[0]
    return [
        [cell.strip() for cell in line.strip("|").split(" |")] for line in re.findall(r"^\|.*\|$", text, re.MULTILINE)
    ]


def first_cells(text: str, **where: str) -> set[str]:
    """What stands in backquotes in the first cell of each row."""
    return {name for row in rows(text, **where) for name in re.findall(r"`([^`]+)`", row[0])}


# --- what the documents tell people to type ----------------------------------------------------------------------


def script(path: str) -> tuple[str, list[Block]]:
    """A document's blocks as one shell session, and the blocks that it runs."""
    lines, run = ["set -eu", POST_EVENT], []
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for block in blocks(path):
        if block.language == "sh" and block.use == "test":
            lines.append(block.text)
        elif block.language == "python":
            lines.append(f"python - <<'END_OF_PYTHON'\n{block.text}END_OF_PYTHON")
        elif block.use == "event":
            event = block.text.replace(EVENT_TIME, now)
            lines.append(f'sed "s/nimct_…/$TOKEN/" <<\'END_OF_EVENT\' | nimriz send "$WORKSPACE"\n{event}END_OF_EVENT')
        else:
            continue
        lines.append(f"printf '\\n%s\\n' '{MARK}'")
        run.append(block)
    return "\n".join(lines), run


def environment(world: Workspace) -> dict[str, str]:
    """What a reader of the guides has after the README's five minutes."""
    link = world.link()
    return world.served.environment() | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "URL": world.served.url,
        "WORKSPACE": world.workspace_id,
        "DOMAIN": world.domain_id,
        "API_KEY": world.api_key,
        "NIMRIZ_SIGNING_SECRET": world.signing_secret,
        "TOKEN": world.click(link["short_code"]),
    }


def run_script(text: str, folder: Path, env: dict[str, str]) -> list[str]:
    """Run a shell session; what each block printed."""
    told = subprocess.run(["sh", "-c", text], cwd=folder, env=env, capture_output=True, text=True, timeout=SLOWLY_S)
    assert told.returncode == 0, f"{told.stdout[-2000:]}\n{told.stderr[-4000:]}"
    return told.stdout.split(f"\n{MARK}\n")[:-1]


def matches(expected: Any, found: Any) -> bool:
    """Whether `expected` is part of `found`."""
    if expected == "…":
        return found is not None
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(k in found and matches(v, found[k]) for k, v in expected.items())
    if isinstance(expected, list):
        return isinstance(found, list) and len(expected) == len(found) and all(map(matches, expected, found))
    return bool(expected == found)


def check(path: str, printed: list[str]) -> None:
    """Hold what was printed against the document."""
    waiting = iter(printed)
    current = ""
    marked = [block for block in blocks(path) if block.use != "serve" and block.language not in ELSEWHERE]
    for block, after in zip(marked, [*marked[1:], None], strict=True):
        if block.use == "expect":
            assert matches(json.loads(block.text), json.loads(current)), f"{path} promises other than {current}"
            continue
        current = next(waiting)
        if after is None or after.use != "expect":
            assert "urn:nimriz:problem" not in current, f"{path}: {block.text} was answered {current}"
        if block.use == "event":
            assert json.loads(current)["attribution"]["status"] == "attributed", current
    assert next(waiting, None) is None


needs_tools = pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("openssl")), reason="curl or openssl is not installed"
)


@needs_tools
def test_the_five_minutes_of_the_readme_work_as_they_are_written(served: Served, tmp_path: Path) -> None:
    assert [b.text for b in blocks("README.md") if b.use == "serve"] == ["make serve\n"]
    assert "nimriz serve" in read("Makefile").split("\nserve:")[1].split("\n\n")[0]
    (tmp_path / ".venv").symlink_to(sys.prefix)
    text, _ = script("README.md")
    assert "http://localhost:8000" in text
    check("README.md", run_script(text.replace("http://localhost:8000", served.url), tmp_path, served.environment()))


@needs_tools
@pytest.mark.parametrize("path", GUIDES)
def test_every_marked_block_of_a_guide_works(path: str, world: Workspace, tmp_path: Path) -> None:
    text, run = script(path)
    assert run
    check(path, run_script(text.replace(SHOP_PORT, str(own_port())), tmp_path, environment(world)))


@pytest.mark.parametrize("language", ELSEWHERE)
def test_the_signing_recipes_in_other_languages_work(language: str, world: Workspace, tmp_path: Path) -> None:
    (recipe,) = [b.text for b in blocks("docs/guides/engineer.md") if b.language == language]
    event_id, name, command = ELSEWHERE[language]
    if shutil.which(command.split()[0]) is None:
        pytest.skip(f"{command.split()[0]} is not installed")
    (tmp_path / name).write_text(recipe, "utf-8")
    told = subprocess.run(
        command, shell=True, cwd=tmp_path, env=environment(world), capture_output=True, text=True, timeout=SLOWLY_S
    )
    assert told.returncode == 0, told.stderr
    assert world.event(event_id)["attribution"]["status"] == "attributed"


def test_the_landing_page_of_the_engineers_guide_keeps_the_token() -> None:
    names: dict[str, Any] = {}
    exec(next(b.text for b in blocks("docs/guides/engineer.md") if "def keep_click_token" in b.text), names)
    sent: list[tuple[str, str]] = []

    def page(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [str(names["click_id"](environ)).encode()]

    def visit(query: str, cookie: str = "") -> list[bytes]:
        environ: dict[str, Any] = {"QUERY_STRING": query, "HTTP_COOKIE": cookie}
        setup_testing_defaults(environ)
        sent.clear()
        answer = names["keep_click_token"](page)(environ, lambda status, headers, exc_info=None: sent.extend(headers))
        return cast(list[bytes], answer)

    visit("a=1&nim_ct=nimct_AQE-x_y")
    cookie = dict(sent)["Set-Cookie"]
    assert visit("", cookie.partition(";")[0]) == [b"nimct_AQE-x_y"]
    assert "Set-Cookie" not in dict(sent)
    assert visit("nim_ct=nimct_x%3B+Domain=evil%0d%0a") == [b"None"]
    assert "Set-Cookie" not in dict(sent)


# --- what the documents say is there -----------------------------------------------------------------------------


def test_the_reference_is_what_the_code_says() -> None:
    told = subprocess.run([sys.executable, "tools/reference", "--print"], cwd=ROOT, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    assert told.stdout == read("docs/reference/api.md"), "make reference writes it anew"


def endpoints() -> Iterator[APIRoute]:
    waiting: list[Any] = list(api.endpoints(cast(Desk, None)).routes)
    while waiting:
        route = waiting.pop()
        if isinstance(route, APIRoute):
            yield route
        else:
            waiting += getattr(getattr(route, "original_router", None), "routes", [])


def test_every_endpoint_is_in_the_reference_with_its_scope() -> None:
    found = {f"{m} {re.sub(r':[a-z]+}', '}', r.path)}" for r in endpoints() for m in r.methods or ()}
    sections = read("docs/reference/api.md").split("\n### ")[1:]
    described = {s.partition("`")[2].partition("`")[0]: s for s in sections if s.startswith(("`GET", "`P", "`DELETE"))}
    assert found
    assert described.keys() == found
    assert [name for name, text in described.items() if "Scope: " not in text] == []


def test_every_setting_is_described_with_its_default_and_its_bounds() -> None:
    described = {row[0]: row for row in rows(read("docs/guides/operator.md"), under="Settings")}
    for name, _, default, bounds in rows(read("docs/reference/api.md"), under="Settings")[2:]:
        assert name in described
        assert described[name][1] == default, name
        assert bounds in ("", described[name][3]), name
        assert described[name][4], name


def test_every_code_is_in_the_engineers_guide_with_its_status() -> None:
    guide = rows(read("docs/guides/engineer.md"), under="Every code")
    by_code = {row[1].strip("`"): row[0] for row in guide if row[0].isdigit()}
    assert by_code == {name: str(code.status) for name, code in CODES.items()}
    assert {row[0].strip("`") for row in guide if row[0].startswith("`")} == FIELD_CODES.keys()


def test_every_metric_that_a_server_shows_is_described_with_what_to_do(served: Served) -> None:
    shown = httpx2.get(f"http://127.0.0.1:{served.metrics_port}/metrics", timeout=SLOWLY_S).text
    names = set(re.findall(r"^(nimriz_\w+) ", shown, re.MULTILINE))
    assert names
    assert first_cells(read("docs/guides/operator.md"), under="Metrics") == names
    assert first_cells(read("docs/reference/api.md"), under="Metrics") == names


def test_every_command_has_its_sentence_and_is_in_a_guide() -> None:
    guides = "".join(map(read, ["README.md", *GUIDES]))
    commands = dict(re.findall(r"^### `(nimriz [a-z ]+)`\n\n(.*)$", read("docs/reference/api.md"), re.MULTILINE))
    assert "nimriz workspace create" in commands
    assert [name for name, sentence in commands.items() if not sentence.endswith(".") or name not in guides] == []


def test_every_logged_event_is_described() -> None:
    source = "".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))
    events = set(re.findall(r"\blog\.(?:debug|info|warning|error)\(\s*\"(\w+)\"", source))
    assert first_cells(read("docs/guides/operator.md"), under="Logs") == events


def test_plans_and_scopes_are_as_the_operators_guide_says() -> None:
    guide = read("docs/guides/operator.md")
    head, _, *plans = rows(guide, under="Plans and rollout flags")
    assert [cell.strip("`") for cell in head[1:]] == list(SURFACES)
    told = {
        plan.strip("`"): {s for s, cell in zip(SURFACES, cells, strict=True) if cell == "yes"} for plan, *cells in plans
    }
    assert told == {name: set(plan.surfaces) for name, plan in PLANS.items()}
    assert [scope for scope in SCOPES if f"`{scope}`" not in guide] == []


def test_every_reason_is_in_plain_words() -> None:
    cases = json.loads(read("tests/vectors/append.json"))["cases"]
    suppressed = {case["reason"] for case in cases if case.get("reason")}
    assert suppressed
    marketer, engineer = read("docs/guides/marketer.md"), read("docs/guides/engineer.md")
    assert first_cells(marketer, under="When no token is appended") == {*suppressed, "owner", "bot", "privacy"}
    judged = first_cells(engineer, under="Attribution")
    assert judged >= {"no_identity", "external_id_unknown", "outside_window", "before_click", "related_pending"}
    assert first_cells(marketer, under="What counts as attributed") == judged
