"""Start-up: what `import understudy` adds, and how soon and how small `understudy serve` is, beside a bare application.

Each pair is run in turn, A B A B; the ratio is taken pair by pair, and its median is what counts. Run it with
`make bench`.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROUNDS = 15
HERE = Path(__file__).parent


# As an installed package is: with its bytecode kept.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run_python(code: str) -> float:
    """Return how many milliseconds an interpreter takes to run a line."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env=ENVIRONMENT)
    return (time.perf_counter() - began) * 1000


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def first_answer(command: list[str], port: int, path: str) -> tuple[float, float]:
    """Return the milliseconds from the start of a server to its first answer, and its memory then in megabytes."""
    began = time.perf_counter()
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    try:
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            with contextlib.suppress(ConnectionRefusedError):
                connection.request("GET", path, headers={"Authorization": "Bearer key"})
                connection.getresponse().read()
                took = (time.perf_counter() - began) * 1000
                return took, resident_megabytes(server.pid)
            connection.close()
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()


def resident_megabytes(pid: int) -> float:
    """Return the resident memory of a process, or 0 where the system does not tell."""
    status = Path(f"/proc/{pid}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0.0)


def pairs(ours: Callable[[], float], theirs: Callable[[], float]) -> tuple[list[float], list[float]]:
    """Run both in turn."""
    ours(), theirs()
    both = [(ours(), theirs()) for _ in range(ROUNDS)]
    return [first for first, _ in both], [second for _, second in both]


def shown(values: list[float]) -> str:
    """Return a median with its spread."""
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def main() -> None:
    """Print the figures."""
    print(f"start-up, {ROUNDS} pairs, median (least to most), {os.cpu_count()} CPUs, Python {sys.version.split()[0]}\n")
    ours, bare = pairs(lambda: run_python("import understudy"), lambda: run_python("pass"))
    added = [first - second for first, second in zip(ours, bare, strict=True)]
    print(f"import understudy      {shown(ours)} ms, a bare interpreter {shown(bare)} ms")
    print(f"  added                {shown(added)} ms   (at most 30)")

    memory: list[float] = []

    def serve(path: str) -> float:
        port = free_port()
        command = [sys.executable, "-m", "understudy", "serve", "--port", str(port), "--asset-port", "0", "--quiet"]
        took, megabytes = first_answer(command, port, path)
        memory.append(megabytes)
        return took

    def bare_server() -> float:
        port = free_port()
        return first_answer([sys.executable, str(HERE / "bare.py"), str(port)], port, "/")[0]

    for path in ("/__admin/health", "/shortapi/api/v1/job/query?id=1", "/kie/api/v1/chat/credit"):
        ours, bare = pairs(partial(serve, path), bare_server)
        ratios = [first / second for first, second in zip(ours, bare, strict=True)]
        print(f"serve, first answer    {shown(ours)} ms, bare Starlette under uvicorn {shown(bare)} ms: {path}")
        print(f"  ratio                {statistics.median(ratios):.2f}   (at most 1.5)")
    print(f"serve, memory          {shown(memory)} MB   (under 60)")


if __name__ == "__main__":
    main()
