"""Workers die with their parent: a killed main process must not leave a second generation that answers.

And they hear when it tells them to stop, before the server begins to wait for what is under way.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from asyncio import get_running_loop
from collections.abc import Callable
from types import FrameType

_PR_SET_PDEATHSIG = 1
_LOOK_EVERY_S = 0.2
_PARENT = "NIMRIZ_PARENT_PID"


def announce_parent() -> None:
    """Tell the workers to be who their parent is: by the time they look, it may have ended already."""
    os.environ[_PARENT] = str(os.getpid())


def die_with_parent() -> None:
    """Have this process killed when its parent ends, however the parent ends."""
    parent = int(os.environ.get(_PARENT) or os.getppid())
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def on_stop(fn: Callable[[], None]) -> None:
    """Have `fn` called in the event loop when this process is told to stop; what the signal did before, it does too."""
    loop = get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        before = signal.getsignal(number)

        def heard(number: int, frame: FrameType | None, before: object = before) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(fn)
            if callable(before):
                before(number, frame)

        signal.signal(number, heard)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY_S)
    os.kill(os.getpid(), signal.SIGKILL)
