"""The demo: it ends well only when every figure is right, and leaves nothing behind however it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from nimriz import demo
from nimriz.demo.figures import EXPECTED, differences, table
from nimriz.demo.server import DemoStopped, Server
from nimriz.net import port_is_free

DEMO = [sys.executable, "-m", "nimriz", "demo"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the demo puts its installation."""
    return tmp_path_factory.mktemp("demo")


def environment(folder: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(folder), **more}


@pytest.fixture(scope="module")
def played(folder: Path) -> subprocess.CompletedProcess[str]:
    """The demo, once, on a machine with an installation and a proxy of its own."""
    own = {
        "NIMRIZ_DATA_DIR": str(folder / "mine"),
        "NIMRIZ_APP_URL": "https://mine.example",
        "NIMRIZ_CLOCK_OFFSET_S": "9",
    }
    own |= {"HTTP_PROXY": "http://localhost:9", "PYTHONIOENCODING": "ascii"}
    return subprocess.run(DEMO, env=environment(folder, **own), capture_output=True, text=True, timeout=180)


def test_the_demo_ends_well(played: subprocess.CompletedProcess[str]) -> None:
    assert (played.returncode, played.stderr) == (0, "")
    assert re.search(r"All \d{3} figures are what they must be", played.stdout)


@pytest.mark.parametrize(
    "figures",
    [
        "launch 142 12 6 1 12.68% USD 626.70 29.90 596.80",
        "newsletter 90 5 3 2 8.89% EUR 200.00 0.00 200.00",
        "podcast 60 4 1 0 8.33% USD 79.00 0.00 79.00",
        "brochure 12 0 0 0 0.00% - - - -",
        "all links 304 21 10 3 10.20% EUR 200.00 0.00 200.00",
        "unattributed - 1 2 0 - USD 75.00 0.00 75.00",
    ],
)
def test_the_table_shows_a_row_for_each_link_and_what_nobody_earned(
    played: subprocess.CompletedProcess[str], figures: str
) -> None:
    assert figures in [" ".join(line.replace("|", " ").split()) for line in played.stdout.splitlines()]


@pytest.mark.parametrize(
    "sentence",
    [
        "the 60 clicks of podcast and its sale of 79.00 USD are still there",
        "(signed_aws): its 12 visitors got that address as it is, and 0 tokens",
        "launch-sale-1 was sent again and answered with the stored event and duplicate: true",
        "launch earned 129.90 USD by external_id",
        "29.90 USD of launch-order-1 were taken back, 100.00 USD remain",
        "newsletter-refund-2 arrived first and was pending; when its sale came it was settled: 40.00 USD taken back",
        "Of 50.00 USD only 35.00 could be taken back; the other 15.00 are kept as excess",
        "stray-sale-1 was made a day before the click that it names: kept, unattributed, before_click",
        "stray-sale-2 came 40 days after its click, and the window is 30 days: kept, unattributed, outside_window",
        "stray-lead-1 had one character of its token changed: kept, unattributed, token_forged",
    ],
)
def test_each_special_case_is_told_in_a_sentence(played: subprocess.CompletedProcess[str], sentence: str) -> None:
    assert sentence in " ".join(played.stdout.split())


def test_without_a_terminal_the_report_fits_into_100_columns(played: subprocess.CompletedProcess[str]) -> None:
    assert max(map(len, played.stdout.splitlines())) <= demo.WIDTH_WITHOUT_TERMINAL
    assert "\x1b" not in played.stdout


def test_the_table_loses_no_figure_in_a_terminal_of_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    figures = {name: row for name, row in EXPECTED.items() if "clicks" in row}
    Console(width=80).print(table(figures))
    printed = capsys.readouterr().out
    assert "…" not in printed
    assert all(str(row["clicks"]) in printed for row in figures.values() if row["clicks"])


def test_nothing_of_the_demo_is_left(played: subprocess.CompletedProcess[str], folder: Path) -> None:
    assert list(folder.iterdir()) == []


def test_a_figure_that_differs_is_named_and_the_demo_exits_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(EXPECTED["launch"]["revenue"]["USD"], "net", "596.81")
    assert demo.run() == 1
    printed = capsys.readouterr().out
    assert "Wrong: launch, revenue, USD, net: expected 596.81, got 596.80." in printed
    assert re.search(r"^1 of \d{3} figures differ", printed, re.MULTILINE)


def test_a_figure_too_many_and_a_figure_too_few_differ() -> None:
    assert differences({"leads": 1}, {"leads": 1}, "launch") == []
    assert differences({"leads": 1, "sales": 0}, {"leads": 1}, "launch") == ["launch, sales: expected 0, got None"]
    assert differences({}, {"token_forged": 1}, "reasons") == ["reasons, token_forged: expected None, got 1"]
    assert differences({"USD": {"net": "1.00"}}, {}, "launch") == ["launch, USD: expected {'net': '1.00'}, got None"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_stopped_takes_its_server_with_it(tmp_path: Path, how: signal.Signals) -> None:
    process = subprocess.Popen(
        DEMO, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        # Whoever runs these tests in the background ignores Ctrl-C, and so would the demo.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no thread runs here
    )  # fmt: skip
    try:
        port = served_port(tmp_path)
        process.send_signal(how)
        _, told = process.communicate(timeout=180)
    finally:
        process.kill()
    assert (process.returncode, told) == (1, b"The demo was stopped.\n")
    assert port_is_free("127.0.0.1", port)
    assert list(tmp_path.iterdir()) == []


def served_port(folder: Path) -> int:
    """The port of the demo's server, once its log names it and somebody listens there."""
    ends_s = time.monotonic() + 180
    while time.monotonic() < ends_s:
        for log in folder.glob("*/server.log"):
            named = re.search(r"http://localhost:(\d+)", log.read_text())
            if named and not port_is_free("127.0.0.1", int(named[1])):
                return int(named[1])
        time.sleep(0.02)
    raise AssertionError("the demo started no server")


def test_a_server_that_does_not_start_is_told_with_its_own_words(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = Server(tmp_path, port=taken.getsockname()[1])
        with pytest.raises(
            DemoStopped, match=r"^The server did not start on port \d+; it said:\n(.*\n)*  Port \d+ .* is taken"
        ):
            server.start()
        server.stop()


def test_a_command_that_fails_is_told_with_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(DemoStopped, match=r"^nimriz secret list 1 ended with 1: There is no workspace with this id"):
        Server(tmp_path).command("secret", "list", "1")
