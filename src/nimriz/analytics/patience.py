"""Patience: which threads of the store's process take only what nobody else wants.

Linux gives each thread a niceness of its own. DuckDB's workers help with reports and exports alike, and are as patient
as exports must be; a report still has the thread that answers it. Elsewhere the process keeps the niceness that it has.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

NICENESS = 19


def lower_own() -> None:
    """The thread that calls this, until it ends."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def lower_others() -> None:
    """Every other thread that there is: called when those are the engine's."""
    if sys.platform != "linux":
        return
    for task in Path("/proc/self/task").iterdir():
        if int(task.name) != threading.get_native_id():
            os.setpriority(os.PRIO_PROCESS, int(task.name), NICENESS)
