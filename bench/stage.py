"""The stage of the benchmarks: servers on one core, whoever loads them on another.

Owns a temporary directory on a real disk and every process that it starts; both are gone when it ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import apsw
import httpx2

from nimriz.net import free_port

HERE = Path(__file__).parent
SERVER_CORE = 0
LOAD_CORE = 1
# A user agent as long as browsers' are.
BROWSER = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
)
DESTINATION = "https://shop.example/landing?colour=green"
NIMRIZ = (sys.executable, "-m", "nimriz")
_START_S = 30.0
_FLUSHES = 200


def need(*programs: str) -> None:
    """Say in one sentence what is missing, and end with status 1."""
    missing = [name for name in programs if shutil.which(name) is None]
    if len(os.sched_getaffinity(0)) < 2:
        missing.append("a second core")
    if missing:
        sys.exit(f"{Path(sys.argv[0]).name}: missing: {', '.join(missing)}; nothing was measured.")


def pinned(core: int, command: Sequence[str]) -> list[str]:
    """The command, bound to one core."""
    return ["taskset", "--cpu-list", str(sorted(os.sched_getaffinity(0))[core]), *command]


@contextlib.contextmanager
def bound_to(core: int) -> Iterator[None]:
    """Bind this process to one core for a while."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(cores)[core]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


@dataclass
class Server:
    """A process group that answers at a URL."""

    process: subprocess.Popen[bytes]
    url: str

    def cpu_s(self) -> float:
        """What its processes have spent so far."""
        ticks = 0
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                # The fields after the name, which may hold anything: state, parent, group, ...
                fields = path.read_text().rpartition(")")[2].split()
                if int(fields[2]) == self.process.pid:
                    ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> float:
        """The memory of the main process and its workers; what they share counts once (PSS)."""
        kilobytes = 0
        waiting = [self.process.pid]
        while waiting:
            home = Path("/proc") / str(waiting.pop())
            found = re.search(r"^Pss:\s+(\d+) kB", (home / "smaps_rollup").read_text(), re.MULTILINE)
            assert found is not None
            kilobytes += int(found[1])
            for children in home.glob("task/*/children"):
                waiting += map(int, children.read_text().split())
        return kilobytes / 1024

    def end(self) -> None:
        """Kill it, without a word."""
        # The group is this server's own: its workers end with it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@dataclass
class Nimriz(Server):
    """A served installation with one workspace and one tracked link."""

    data_dir: Path
    port: int
    metrics_port: int
    workspace_id: str
    domain_id: str
    api_key: str
    signing_secret: bytes
    slug: str

    @property
    def link(self) -> Server:
        """The same server, asked for the tracked link."""
        return Server(self.process, f"{self.url}/{self.slug}")

    def metrics(self) -> dict[str, float]:
        """Every metric of nimriz, without prefix and suffix."""
        text = httpx2.get(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=30).text
        found = re.findall(r"^nimriz_(\w+?)(?:_total)? (\S+)$", text, re.MULTILINE)
        return {name: float(value) for name, value in found}

    def connections(self) -> int:
        """How many connections to its databases the server holds: each has a cache of its own."""
        found = 0
        for children in Path(f"/proc/{self.process.pid}").glob("task/*/children"):
            for child in children.read_text().split():
                links = Path(f"/proc/{child}/fd").iterdir()
                found += sum(os.readlink(link).endswith(".db") for link in links)
        return found

    def token(self) -> str:
        """Click the link; the token that a landing page would see."""
        answer = httpx2.get(f"{self.url}/{self.slug}", headers={"User-Agent": BROWSER}, follow_redirects=False)
        found = re.search(r"[?&]nim_ct=([^&#]+)", answer.headers["location"])
        if found is None:
            raise SystemExit("the link appends no token: nothing was measured")
        return found[1]

    def rows(self, pattern: str, table: str) -> int:
        """Rows of a table on disk, over all files of this name."""
        total = 0
        for path in sorted(self.data_dir.glob(pattern)):
            connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
            with contextlib.closing(connection):
                for (count,) in connection.execute(f"select count(*) from {table}"):
                    total += int(count)
        return total


class Stage:
    """Starts servers on the server's core, and takes everything down again."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        # Not /tmp, which may be memory: durable means on a disk.
        self.directory = Path(
            self._stack.enter_context(tempfile.TemporaryDirectory(prefix="nimriz-bench-", dir="/var/tmp"))
        )

    def __enter__(self) -> Stage:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def start(self, name: str, command: Sequence[str], url: str, **settings: str) -> Server:
        """Start a server, and return when `url` answers."""
        log_path = self.directory / f"{name}.log"
        environment = {k: v for k, v in os.environ.items() if not k.startswith("NIMRIZ_")} | settings
        with log_path.open("ab") as log:
            process = subprocess.Popen(
                pinned(SERVER_CORE, command), env=environment, stdout=log, stderr=log, start_new_session=True
            )
        server = Server(process, url)
        self._stack.callback(server.end)
        ends_s = time.monotonic() + _START_S
        while time.monotonic() < ends_s and process.poll() is None:
            try:
                httpx2.get(url, timeout=5, follow_redirects=False)
            except httpx2.HTTPError:
                time.sleep(0.05)
            else:
                return server
        sys.exit(f"{name} did not start:\n{log_path.read_text()}")

    def nginx(self) -> Server:
        """nginx with one worker, answering a constant 302."""
        port, home = free_port(), self.directory / "nginx"
        home.mkdir()
        config = home / "nginx.conf"
        config.write_text(
            (HERE / "nginx.conf")
            .read_text()
            .replace("@HOME", str(home))
            .replace("@PORT", str(port))
            .replace("@DESTINATION", DESTINATION)
        )
        command = ["nginx", "-c", str(config), "-p", str(home), "-e", str(home / "error.log")]
        return self.start("nginx", command, f"http://127.0.0.1:{port}/link")

    def bare(self, name: str) -> Server:
        """granian as nimriz runs it, with the application `name` of bare.py."""
        port = free_port()
        command = [sys.executable, str(HERE / "bare.py"), name, str(port)]
        return self.start(f"bare-{name}", command, f"http://127.0.0.1:{port}/link")

    def nimriz(self, **settings: str) -> Nimriz:
        """nimriz with its default settings, a workspace and a tracked link."""
        port, metrics_port = free_port(), free_port()
        data_dir = self.directory / "data"
        own = _settings(data_dir, port, metrics_port) | settings
        url = f"http://127.0.0.1:{port}"
        served = self.start("nimriz", [*NIMRIZ, "serve"], f"{url}/_ready", **own)
        made = subprocess.run(
            [*NIMRIZ, "workspace", "create", "Bench", "--json"], env=os.environ | own, capture_output=True, check=True
        )
        workspace = json.loads(made.stdout)
        link = httpx2.post(
            f"{url}/api/shorten",
            json={"domain_id": workspace["domain_id"], "long_url": DESTINATION, "conversion_tracking": True},
            headers={"Authorization": f"Bearer {workspace['api_key']}"},
        )
        link.raise_for_status()
        return Nimriz(
            served.process,
            url,
            data_dir,
            port,
            metrics_port,
            workspace["workspace_id"],
            workspace["domain_id"],
            workspace["api_key"],
            workspace["signing_secret"].encode(),
            link.json()["short_code"],
        )

    def again(self, ended: Nimriz, **settings: str) -> Nimriz:
        """The same installation, served anew by a process that remembers nothing; the caller has ended the other."""
        own = _settings(ended.data_dir, ended.port, ended.metrics_port) | settings
        served = self.start("nimriz", [*NIMRIZ, "serve"], f"{ended.url}/_ready", **own)
        return replace(ended, process=served.process)


def _settings(data_dir: Path, port: int, metrics_port: int) -> dict[str, str]:
    return {
        "NIMRIZ_DATA_DIR": str(data_dir),
        "NIMRIZ_PORT": str(port),
        "NIMRIZ_METRICS_PORT": str(metrics_port),
    }


def describe_machine(directory: Path) -> str:
    """One line: what the numbers were measured on."""
    return (
        f"{os.cpu_count()} cores ({_cpu()}), Python {platform.python_version()}, SQLite {apsw.sqlite_lib_version()}, "
        f"{platform.system()} {platform.release()}, a flush to disk takes {_flush_ms(directory):.2f} ms; "
        f"servers on core {SERVER_CORE}, load on core {LOAD_CORE}"
    )


def _cpu() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _flush_ms(directory: Path) -> float:
    """The median of appending a page to a file and flushing it."""
    path = directory / "flush"
    took_ms = []
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for _ in range(_FLUSHES):
        started_s = time.perf_counter()
        os.write(handle, bytes(4096))
        os.fdatasync(handle)
        took_ms.append((time.perf_counter() - started_s) * 1000)
    os.close(handle)
    path.unlink()
    return statistics.median(took_ms)
