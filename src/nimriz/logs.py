"""The log: one JSON line for each event on standard error, alike in every process.

Of an error its type is logged, and where it was raised. Its message may repeat a value, so it never is.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import structlog

_PACKAGE = Path(__file__).parent


def configure_logs(level: str) -> None:
    """Set up the log of this process. Nothing is logged that a caller sent."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.EventRenamer("event"),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=os.fdopen(os.dup(2), "w", buffering=1)),
        cache_logger_on_first_use=True,
    )


def where(error: BaseException) -> str:
    """The file of ours and the line that an error came from; '' where it passed none."""
    place, traceback = "", error.__traceback__
    while traceback is not None:
        path = Path(traceback.tb_frame.f_code.co_filename)
        if path.is_relative_to(_PACKAGE):
            place = f"{path.relative_to(_PACKAGE)}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return place
