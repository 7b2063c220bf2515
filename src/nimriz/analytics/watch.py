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


def watch(options: Options) -> None:
    """Start the process and keep one running, from a thread that ends with this process."""
    keep("nimriz.analytics", json.dumps(options._asdict()))


def keep(module: str, *arguments: str) -> None:
    """The same for any module that is a program."""
    command = [sys.executable, "-m", module, *arguments]
    threading.Thread(target=_keep, args=(command,), name=f"{module}-watch", daemon=True).start()


def _keep(command: list[str]) -> None:
    # It dies with the thread that started it, which is this one and lasts as long as the process.
    pause = threading.Event()
    while True:
        subprocess.Popen(command, stdin=subprocess.DEVNULL, env=os.environ).wait()
        pause.wait(_AGAIN_S)
