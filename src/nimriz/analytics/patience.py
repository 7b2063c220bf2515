"""Patience: which threads of the store's process take only what nobody else wants.

Linux gives each thread a policy of its own, and one that is `idle` runs where a core has nothing else to do. So the
copying of clicks, exports and DuckDB's workers never make a visitor wait, and on a machine that is busy to the last
core reports are older: `fresh_as_of` says how old. Elsewhere the process keeps the niceness that it has.
"""

from __future__ import annotations

import os
import sys
import threading


def lower_own() -> None:
    """The thread that calls this, until it ends, and those that it starts: the engine's, where it opens the store."""
    _lower(threading.get_native_id())


def _lower(thread_id: int) -> None:
    if sys.platform == "linux":
        os.sched_setscheduler(thread_id, os.SCHED_IDLE, os.sched_param(0))
