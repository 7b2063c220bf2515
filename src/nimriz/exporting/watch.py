"""Watching for exports: the process that makes them is there only while there is something to do.

This one is small and always there; the other takes several times as much memory, and most of the time nobody wants an
export. Both end with their parents.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from nimriz.base.clock import Clock
from nimriz.core.exports import exports, schedules
from nimriz.parent import announce_parent, die_with_parent
from nimriz.store.db import Database, StoreError
from nimriz.store.sqlite import Sqlite

LOOK_EVERY_S = 0.5
_MAKING = (sys.executable, "-m", "nimriz.exporting.process")


def wanted(records: Database, folder: Path, now_ms: int) -> bool:
    """Whether there is something to do. That the records cannot be read is told by whoever needs them."""
    try:
        return records.read(lambda tx: exports.wanted(tx, now_ms) or bool(schedules.due(tx, now_ms))) or bool(
            exports.forgotten(records, folder)
        )
    except StoreError:
        return False


def main() -> None:
    """What `serve` starts: the data directory and the clock's offset in seconds are its arguments."""
    die_with_parent()
    announce_parent()
    data_dir, clock = Path(sys.argv[1]), Clock(int(sys.argv[2]))
    records = Sqlite(data_dir / "records.db")
    while True:
        if wanted(records, data_dir / exports.FOLDER, clock.now_ms()):
            subprocess.run(_MAKING, check=False, stdin=subprocess.DEVNULL)
        time.sleep(LOOK_EVERY_S)
