"""The log: lines that every process writes alike, and nothing in them that an error repeats."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nimriz import logs
from nimriz.base.clock import from_rfc3339
from nimriz.logs import where

PROGRAM = """
import structlog
from nimriz.base.clock import from_rfc3339
from nimriz.logs import configure_logs, where
configure_logs("info")
log = structlog.get_logger()
log.debug("unheard")
try:
    from_rfc3339("ann@shop.example")
except ValueError as error:
    log.error("failed", error=type(error).__name__, at=where(error))
"""


def test_a_line_has_the_type_of_an_error_and_its_place_and_not_its_message() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True)
    (line,) = done.stderr.splitlines()
    told = json.loads(line)
    assert (told["event"], told["level"], told["error"]) == ("failed", "error", "ValueError")
    assert told["at"].startswith("base/clock.py:")
    assert b"ann@" not in line


def test_the_place_is_the_innermost_of_ours() -> None:
    with pytest.raises(ValueError) as caught:
        from_rfc3339("nothing")
    file, _, line = where(caught.value).partition(":")
    assert file == "base/clock.py"
    assert int(line) > 0
    assert where(ValueError("never raised")) == ""


def test_nobody_logs_a_traceback() -> None:
    texts = {path.name: path.read_text("utf-8") for path in Path(logs.__file__).parent.rglob("*.py")}
    assert [name for name, text in texts.items() if re.search(r"exc_info|log\.exception", text)] == []
