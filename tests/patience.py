"""How long a test waits for what must happen: long enough for a machine that is slow and busy.

A promise in seconds ("within a second") is kept by the server and measured by no test, because a busy machine keeps
nobody's promise. A test that waits in vain fails, and says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 60.0


def until(holds: Callable[[], bool]) -> None:
    """Ask until it holds; ask nothing that a second asking would change, such as a click that is counted later."""
    ends_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < ends_s, "it never happened"
        time.sleep(0.02)
