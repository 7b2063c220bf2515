"""Watching over the process that owns the columnar store: it is started, and started again when it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from typing import NamedTuple

_AGAIN_S = 0.5


class Options(NamedTuple):
    """What the parent tells the process."""

    data_dir: str
    memory_mib: int
    threads: int
    clock_offset_s: int
    log_level: str = "info"


def watch(options: Options) -> None:
    """Start the process and keep one running, from a thread that ends with this process."""
    keep("nimriz.analytics", json.dumps(options._asdict()))


def keep(module: str, *arguments: str) -> None:
    """The same for any module that is a program. Returns when it has been started.

    A worker that is forked while a process is being started inherits the pipe by which starting it is told, and keeps
    it open; whoever waits at its other end would wait as long as the worker lives, and start nothing again.
    """
    command = [sys.executable, "-m", module, *arguments]
    started = threading.Event()
    threading.Thread(target=_keep, args=(command, started), name=f"{module}-watch", daemon=True).start()
    started.wait()


def _keep(command: list[str], started: threading.Event) -> None:
    # It dies with the thread that started it, which is this one and lasts as long as the process.
    pause = threading.Event()
    while True:
        try:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=os.environ)
        finally:
            started.set()
        process.wait()
        pause.wait(_AGAIN_S)
