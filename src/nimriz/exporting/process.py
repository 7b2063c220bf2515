"""The process that makes exports, one after the other, and lets go of those that were kept long enough.

Only one does: whoever has the lock. It goes on with what the one before was at. It ends with its parent, and when it
has had nothing to do for a while.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from functools import partial

import structlog

from nimriz.analytics import sources
from nimriz.config import Settings
from nimriz.core.exports import exports, schedules
from nimriz.core.exports.exports import FOLDER, Export
from nimriz.exporting.gathering import Failed, Later
from nimriz.exporting.making import Attempt, folder_of
from nimriz.installation import Installation, open_installation
from nimriz.logs import configure_logs, where
from nimriz.parent import die_with_parent
from nimriz.store.db import Database, StoreError

LOOK_EVERY_S = 0.25
TIDY_EVERY_S = 60.0
IDLE_S_MAX = 10.0
_NICENESS = 19
_WAIT_AFTER_FAILURE_S = 5.0

log = structlog.get_logger()


class Press:
    """Makes what is asked for. Not for several threads."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._records = installation.records
        self._logs: dict[int, Database] = {}
        self._tidied_s = -TIDY_EVERY_S
        self._records.write(exports.queue_interrupted)

    def turn(self) -> bool:
        """Make one export, if one waits; whether one did. Raises StoreError."""
        self._tidy()
        self._ask_for_due()
        if not self._records.read(exports.waiting):
            return False
        now_ms = self._installation.clock.now_ms()
        export = self._records.write(lambda tx: exports.take(tx, now_ms))
        if export is None:
            return False
        self._make(export)
        return True

    def _ask_for_due(self) -> None:
        """Ask for what schedules want by now."""
        now_ms = self._installation.clock.now_ms()
        for schedule in self._records.read(lambda tx: schedules.due(tx, now_ms)):
            self._records.write(partial(schedules.run, schedule=schedule, now_ms=now_ms))

    def _make(self, export: Export) -> None:
        data_dir = self._installation.settings.data_dir
        logs = list(sources.click_logs(data_dir, self._logs).values())
        try:
            Attempt(self._installation, logs, export).make()
        except Failed as failed:
            reason, now_ms = failed.reason, self._installation.clock.now_ms()
            self._forget(export)
            self._records.write(lambda tx: exports.fail(tx, export, reason, now_ms))
        except Exception as error:
            # Whatever it was, it is tried again a few times, and then given up. What is finished of it is kept only
            # where it cannot be the reason.
            if not isinstance(error, Later):
                log.error("export_failed", export_id=export.export_id, error=type(error).__name__, at=where(error))
            if not isinstance(error, Later | StoreError):
                self._forget(export)
            time.sleep(_WAIT_AFTER_FAILURE_S)
            self._records.write(lambda tx: exports.give_back(tx, export))

    def _forget(self, export: Export) -> None:
        shutil.rmtree(folder_of(self._installation.settings.data_dir, export.export_id), ignore_errors=True)

    def _tidy(self) -> None:
        """Remove the folders of what expired, was cancelled, or never came to its end."""
        now_s = time.monotonic()
        if now_s - self._tidied_s < TIDY_EVERY_S:
            return
        self._tidied_s = now_s
        now_ms = self._installation.clock.now_ms()
        self._records.write(lambda tx: exports.expire(tx, now_ms))
        exports.remove_forgotten(self._records, self._installation.settings.data_dir / FOLDER)


def run(settings: Settings) -> None:
    """Make exports until there is nothing to do."""
    os.nice(_NICENESS)
    lock = os.open(settings.data_dir / "exports.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    press = Press(open_installation(settings))
    busy_s = time.monotonic()
    while time.monotonic() - busy_s < IDLE_S_MAX:
        try:
            if press.turn():
                busy_s = time.monotonic()
            else:
                time.sleep(LOOK_EVERY_S)
        except StoreError as error:
            log.error("exports_unavailable", error=str(error))
            time.sleep(_WAIT_AFTER_FAILURE_S)


def main() -> None:
    """What the parent starts; its settings are its environment."""
    die_with_parent()
    settings = Settings()
    configure_logs(settings.log_level)
    run(settings)


if __name__ == "__main__":
    main()
