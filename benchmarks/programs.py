"""The programs that are measured: started, looked at from outside, and stopped, whatever happens meanwhile."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

ROOT = Path(__file__).parents[1]

#: What `make bench` puts here: `base` with the project and no extra, `limit` with what L needs, and what npm brings.
TOOLS = ROOT / ".tools-bench"

#: As an installed package is: with its bytecode kept.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

#: Whether the system lets one process look at another's time, and choose its CPU.
LINUX = sys.platform == "linux"

#: Where servers in Python run; the load comes from the last one.
FIRST_CPU = frozenset({0})

START_SECONDS = 60.0
STOP_SECONDS = 5.0


def python_of(environment: str) -> str:
    """Return the interpreter of an environment, or ours where `make bench` has not made it."""
    own = TOOLS / environment / "bin" / "python"
    return str(own) if own.exists() else sys.executable


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Program:
    """A program that runs.

    Args:
        process: Its process.
        log: What it says.

    Attributes:
        pid: Of its process.
    """

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log
        self.pid = process.pid

    def wait_for_port(self, port: int) -> None:
        """Return when it listens.

        Raises:
            RuntimeError: It has ended, or takes too long.
        """
        deadline = time.perf_counter() + START_SECONDS
        while time.perf_counter() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return
            time.sleep(0.001)
        said = self._log.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{self._process.args!r} does not listen on port {port}; it said:\n{said}")

    def cpu_seconds(self) -> float:
        """Return how long it has computed, all its threads together."""
        return time.clock_gettime((~self.pid << 3) | 2)  # CPUCLOCK_SCHED of a process, as clock_getcpuclockid(3) has it

    def resident_megabytes(self) -> float:
        """Return how much memory it has."""
        return resident_megabytes(self.pid)


def resident_megabytes(pid: int) -> float:
    """Return how much memory a process has."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


@contextlib.contextmanager
def started(command: Sequence[str], folder: Path, cpus: Collection[int] = ()) -> Iterator[Program]:
    """Start a program in a folder, on some CPUs or all; it is stopped at the end, by force if need be."""
    log = folder / "log.txt"
    with log.open("wb") as said:
        process = subprocess.Popen(
            command, cwd=folder, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT
        )
    try:
        if LINUX:
            os.sched_setaffinity(process.pid, cpus or range(os.cpu_count() or 1))
        yield Program(process, log)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def on_last_cpu() -> Iterator[None]:
    """Run what is in the block on the last CPU, away from servers that have the first."""
    if not LINUX:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def beside() -> Iterator[ProcessPoolExecutor]:
    """Yield a process of its own on the first CPU, in which functions of a module are called."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, initializer=_on_first_cpu) as pool:
        yield pool


def apart(function: Callable[..., T], *arguments: object) -> T:
    """Call a function of a module in a process of its own, which takes its memory and its caches with it."""
    with beside() as pool:
        return pool.submit(function, *arguments).result()


def _on_first_cpu() -> None:
    if LINUX:
        os.sched_setaffinity(0, FIRST_CPU)
