"""Ports for the servers of tests: each process that runs tests has some of its own.

They lie below those that a system hands out by itself (from 32768 on, Linux; 49152 elsewhere): such a port may go to
a client of another test between the moment it was found free and the moment a server listens there, or while a
server is stopped to be started again. Two servers on one port would even share it, unseen.
"""

from __future__ import annotations

import itertools
import os
import re

from nimriz.net import port_is_free

_FIRST, _EACH, _PLACES = 10_000, 1_000, 22


def _place() -> int:
    """The place of this process: workers of one run stand side by side, two runs hardly ever in one place."""
    worker = re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or "0"
    run = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    return (run + int(worker)) % _PLACES


_numbers = itertools.count()


def own_port() -> int:
    """A port of the loopback address on which nobody listens, and that nobody else will take."""
    for _ in range(_EACH):
        port = _FIRST + _place() * _EACH + next(_numbers) % _EACH
        if port_is_free("127.0.0.1", port):
            return port
    raise AssertionError("every port of this process is taken")
