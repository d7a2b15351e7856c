"""What is measured: the table of all measures, with the rows that each one fills and what these must reach."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks import contract, deliveries, growth, in_process, live, picture, plugin, startup, stateful
from benchmarks.contenders import LIMIT, PEERS
from benchmarks.figures import TIMES, Found, Missing, Scale, Series


@dataclass(frozen=True, slots=True)
class Row:
    """A figure and what it must reach.

    Attributes:
        key: How its measure calls it.
        title: What it is.
        must: What it must reach; None where it is shown for comparison only.
        aim: What it should reach.
        unit: Of the figure; it is a ratio where nothing else is said.
        at_least: Whether more is better.
    """

    key: str
    title: str
    must: float | None = None
    aim: float | None = None
    unit: str = TIMES
    at_least: bool = False

    def reaches(self, series: Series) -> bool | None:
        """Say whether a figure is what it must be; None where nothing is asked."""
        if self.must is None:
            return None
        return series.median >= self.must if self.at_least else series.median <= self.must


@dataclass(frozen=True, slots=True)
class Measure:
    """What is run at one time.

    Attributes:
        name: How it is chosen: `make bench ROWS="core transport"`.
        title: What it is about.
        run: Returns what was found for each row, or why nothing can be.
        rows: What is shown of it.
    """

    name: str
    title: str
    run: Callable[[Scale], Found | Missing]
    rows: Sequence[Row]


_LIVE = [
    row
    for operation in live.OPERATIONS
    for connections in (16, 64)
    for row in (
        Row(f"{operation} {connections} cpu", f"{operation}, {connections} connections: CPU per request", 1.25, 1.0),
        Row(f"{operation} {connections} requests", "the same: requests a second", 0.8, 1.0, at_least=True),
    )
]

#: How many times as many requests in a second as each of the others: what must be, and what should be.
_PEERS = {"WireMock": (1.2, 2.0), "MockServer": (1.5, 2.0), "aimock": (1.2, 2.0), "Prism": (3.5, 4.0)}


def _peer_rows(name: str) -> list[Row]:
    goal: tuple[float | None, float | None] = _PEERS.get(name, (None, None))
    return [
        row
        for operation in live.OPERATIONS
        for row in (
            Row(f"{operation} 16 requests", f"{operation}, 16 connections: requests a second", *goal, at_least=True),
            Row(f"{operation} 16 cpu", "the same: CPU per request"),
            Row(f"{operation} 1 latency", f"{operation}, 1 connection: median latency"),
        )
    ]


MEASURES = (
    Measure("live", "Live server against L", partial(live.against, LIMIT, (16, 64), 11), _LIVE),
    Measure(
        "latency",
        "Live server against L, 1 connection",
        partial(live.against, LIMIT, (1,), 11),
        [Row(f"{operation} 1 latency", f"{operation}: median latency", 1.3, 1.1) for operation in live.OPERATIONS],
    ),
    *(
        Measure(
            peer.name.lower(),
            f"Live server against {peer.name}" + (", warmed" if peer.compiles else ""),
            partial(live.against, peer, (16, 1), 5),
            _peer_rows(peer.name),
        )
        for peer in PEERS
    ),
    Measure(
        "transport",
        "In process, create and three polls, against the floor of httpx",
        in_process.transport,
        [
            Row("Understudy", "Understudy", 1.25, 1.1),
            Row("least", "the least, by hand for this provider alone"),
            Row("pytest-httpx", "pytest-httpx, a callback by hand"),
            Row("respx", "respx, a side effect by hand"),
            Row("responses", "responses and requests, a callback by hand"),
        ],
    ),
    Measure("async", "The same in async code", in_process.async_transport, [Row("Understudy", "Understudy", 1.3, 1.1)]),
    Measure(
        "patched",
        "In process, every httpx client patched",
        in_process.patched,
        [Row("Understudy", "against a side effect of respx by hand", 1.15, 1.0)],
    ),
    Measure(
        "core",
        "The core alone",
        in_process.core,
        [
            Row("lifecycle", "one lifecycle, no HTTP", 60, 30, unit="µs"),
            Row("least", "the least, by hand for this provider alone", unit="µs"),
        ],
    ),
    Measure(
        "virtual",
        "Virtual time",
        in_process.callbacks,
        [Row("seconds", "1,000 jobs with signed callbacks", 0.5, 0.2, unit="s")],
    ),
    Measure(
        "waiting",
        "A job of ten virtual minutes, by the reference client",
        in_process.ten_minutes,
        [
            Row("milliseconds", "from the create to the result", 10, unit="ms"),
            Row("against the floor", "against as many constant answers"),
        ],
    ),
    Measure(
        "deliveries",
        "Callbacks over loopback",
        deliveries.loopback,
        [Row("loopback", "delivered in a second, against the posts of one client", 0.8, 0.95, at_least=True)],
    ),
    Measure(
        "job", "Memory of a live job", growth.job, [Row("bytes", "bytes of each of 5,000 jobs", 1024, 717, unit="B")]
    ),
    Measure(
        "memory",
        "Memory of a live server",
        growth.server,
        [
            Row("first", "gained in the first 100,000 requests", 25, unit="MB"),
            Row("then", "gained from there to a million", 5, 0, unit="MB"),
        ],
    ),
    Measure("many", "A poll among many jobs", growth.many, [Row("ratio", "1,000,000 jobs against 1,000", 1.5, 1.1)]),
    Measure(
        "serve",
        "Start of `understudy serve`, against L",
        startup.serve,
        [
            Row("health", "time to the first answer", 1.3, 1.15),
            Row("health memory", "memory then", 60, 45, unit="MB"),
            Row("provider", "time to the first answer of a provider"),
            Row("provider memory", "memory then", 60, 45, unit="MB"),
        ],
    ),
    Measure("import", "Import", startup.imported, [Row("added", "`import understudy` adds", 30, unit="ms")]),
    Measure(
        "plugin",
        "pytest with the plugin, unused",
        plugin.unused,
        [
            Row("kept", "added, bytecode kept", 15, unit="ms"),
            Row("not written", "added, bytecode not written", 15, unit="ms"),
            Row("heavy", "heavy modules imported", 0, unit=""),
        ],
    ),
    Measure(
        "fixture",
        "The pytest fixture of a provider",
        plugin.fixture,
        [Row("first", "the first of a run", 150, unit="ms"), Row("further", "each further one", 1, unit="ms")],
    ),
    Measure(
        "contract",
        "A contract of 2,000 lines",
        contract.load,
        [Row("load", "read and compiled, against the C YAML loader and jsonschema-rs", 1.5, 1.2)],
    ),
    Measure(
        "stateful",
        "A stateful property test",
        stateful.steps,
        [
            Row("steps", "steps a second through the transport, against a rule for nothing", 0.35, 0.5, at_least=True),
            Row("constant", "the same with answers that are always the same"),
        ],
    ),
    Measure(
        "picture",
        "A result picture of 4K with its prompt",
        picture.fetch,
        [Row("first", "first fetch", 100, unit="ms"), Row("again", "fetched again", 1, unit="ms")],
    ),
)
