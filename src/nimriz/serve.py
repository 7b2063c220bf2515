"""Serving: one main process that holds the data directory and watches over its workers."""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.server import Server
from granian.server.common import AbstractServer

from nimriz.analytics.watch import Options, keep, watch
from nimriz.config import Settings
from nimriz.net import port_is_free
from nimriz.parent import announce_parent

# Also how long an idle connection is kept: a proxy in front should give up its own sooner.
HEADER_READ_TIMEOUT_MS = 30_000
HEADER_BYTES_MAX = 65_536
_LOCK_WAIT_S = 5.0
_PORT_WAIT_S = 3.0


class AlreadyServed(Exception):
    """Another process serves this data directory, or has the port."""


def serve(settings: Settings, greeting: str) -> None:
    """Serve until told to stop. The caller has opened the installation once, to say what is wrong."""
    _raise_file_limit()
    with _lock(settings.data_dir):
        _wait_for_port(settings.host, settings.port)
        announce_parent()
        watch(
            Options(
                str(settings.data_dir.absolute()),
                settings.analytics_memory_mib,
                settings.analytics_threads,
                settings.clock_offset_s,
                settings.log_level,
            )
        )
        keep("nimriz.exporting", str(settings.data_dir.absolute()), str(settings.clock_offset_s))
        print(greeting, file=sys.stderr, flush=True)
        listener("nimriz.app:application", settings, factory=True).serve()


def listener(target: str, settings: Settings, *, factory: bool = False) -> AbstractServer[Any]:
    """The HTTP server, with the bounds that keep it answering in a crowd of idle and slow clients."""
    return Server(
        target,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        workers=1,
        loop=Loops.uvloop,
        http=HTTPModes.http1,
        websockets=False,
        backlog=settings.backlog,
        backpressure=settings.backpressure,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_READ_TIMEOUT_MS, max_buffer_size=HEADER_BYTES_MAX),
        log_enabled=False,
        respawn_failed_workers=True,
        respawn_interval=0.5,
        # Without it the server can wait for ever for a worker that does not end.
        workers_kill_timeout=settings.stop_timeout_s,
        factory=factory,
    )


@contextlib.contextmanager
def _lock(data_dir: Path) -> Iterator[None]:
    """Hold the data directory. A worker of a killed main process may outlive it by an instant."""
    handle = os.open(data_dir / "serve.lock", os.O_RDWR | os.O_CREAT, 0o600)
    ends_s = time.monotonic() + _LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError:
            if time.monotonic() > ends_s:
                os.close(handle)
                raise AlreadyServed(f"another nimriz serves {data_dir}") from None
            time.sleep(0.05)
    try:
        yield
    finally:
        os.close(handle)


def _wait_for_port(host: str, port: int) -> None:
    """Listeners here may share a port, so a second one would take half of the first one's visitors."""
    ends_s = time.monotonic() + _PORT_WAIT_S
    while not port_is_free(host, port):
        if time.monotonic() > ends_s:
            raise AlreadyServed(f"port {port} on {host} is taken, or that is no address of this machine")
        time.sleep(0.05)


def _raise_file_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
