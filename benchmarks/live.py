"""Live servers under load: creates and polls, Understudy and another in turn."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from benchmarks.contenders import UNDERSTUDY, Contender, Served, served
from benchmarks.figures import Found, Missing, Scale, in_turn, ratios
from benchmarks.load import drive
from benchmarks.programs import on_last_cpu

OPERATIONS = ("create", "poll")

#: Jobs that are polled; fewer than any contender keeps.
POLLED_JOBS = 64


@dataclass(frozen=True, slots=True)
class Window:
    """What a server did in one window.

    Attributes:
        cpu: Microseconds that it computed for each request.
        requests: How many it answered in a second.
        latency: Microseconds to an answer, the median.
    """

    cpu: float
    requests: float
    latency: float


UNITS = {"cpu": "µs", "requests": "/s", "latency": "µs"}


def against(other: Contender, connections: tuple[int, ...], rounds: int, scale: Scale) -> Found | Missing:
    """Load Understudy and another in turn, and return each figure of a window as `create 16 cpu`."""
    if reason := UNDERSTUDY.lacks() or other.lacks():
        return Missing(reason)
    found: Found = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = [stack.enter_context(served(contender, folder)) for contender in (UNDERSTUDY, other)]
        stack.enter_context(on_last_cpu())
        for server in servers:
            warm(server, scale.warm_seconds)
        for count in connections:
            for operation in OPERATIONS:
                sides = [partial(loaded, server, operation, count, scale.window_seconds) for server in servers]
                windows = [(asdict(ours), asdict(theirs)) for ours, theirs in in_turn(scale.rounds(rounds), *sides)]
                for what, unit in UNITS.items():
                    pairs = [(ours[what], theirs[what]) for ours, theirs in windows]
                    found[f"{operation} {count} {what}"] = ratios("Understudy", other.name, pairs, unit)
    return found


def warm(server: Served, seconds: float) -> None:
    """Load one that gets faster while it runs, until it has."""
    if server.contender.compiles:
        for operation in OPERATIONS:
            drive(server.port, requests(server, operation), server.contender.expected, 16, seconds / 2)


def requests(server: Served, operation: str) -> list[bytes]:
    """Return what is sent: creates, or polls of jobs that have just been made."""
    return [server.contender.create] if operation == "create" else server.polls(POLLED_JOBS)


def loaded(server: Served, operation: str, connections: int, seconds: float) -> Window:
    """Load a server that has forgotten what was before, and have it forget this."""
    server.reset()
    sent = requests(server, operation)
    before = server.program.cpu_seconds()
    load = drive(server.port, sent, server.contender.expected, connections, seconds)
    cpu = (server.program.cpu_seconds() - before) / load.requests
    server.reset()
    return Window(cpu * 1e6, load.per_second, load.latency_seconds * 1e6)
