"""What a test says of its fakes: by its markers, and for a whole run by options, the ini file and the environment.

Imported by the plugin at every start of pytest, so nothing here is heavy.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from understudy.clock import VirtualClock
    from understudy.virtual_loop import Peer

#: What each marker can say, and for what there is one.
MARKERS = {
    "understudy": (("scenario", "seed", "balance", "errors", "strict"), "how the fakes of a test act"),
    "virtual_time": (
        ("ceiling_seconds",),
        "waits of the code under test move the clock of its fakes, and cost nothing",
    ),
}

#: The name of the property of a test's report that carries the verdict on a client.
SCORE = "understudy"

_CLOCK = pytest.StashKey["VirtualClock"]()
_PEERS = pytest.StashKey["tuple[Peer, ...]"]()


def add_options(parser: pytest.Parser) -> None:
    """Add what can be set for a whole run."""
    group = parser.getgroup("understudy")
    group.addoption("--understudy-seed", type=int, metavar="N", help="from which ids are minted")
    group.addoption("--understudy-lenient", action="store_true", help="let unexpected requests and lost callbacks pass")
    parser.addini("understudy_paths", "folders with contracts/ and fakes/", type="paths", default=[])
    parser.addini("understudy_seed", "from which ids are minted", default="")
    parser.addini("understudy_lenient", "let unexpected requests and lost callbacks pass", type="bool", default=False)


def add_markers(config: pytest.Config) -> None:
    """Make the markers known."""
    for name, (words, purpose) in MARKERS.items():
        config.addinivalue_line("markers", f"{name}({', '.join(words)}): {purpose}")


def check(items: Iterable[pytest.Item]) -> None:
    """See that each marker says what can be said.

    Raises:
        pytest.UsageError: One does not.
    """
    from understudy.errors import suggestion

    for item in items:
        for marker in [one for one in item.iter_markers() if one.name in MARKERS]:
            words, _ = MARKERS[marker.name]
            for key in (*marker.args, *marker.kwargs):
                if marker.args or key not in words:
                    hint = suggestion(str(key), words)
                    raise pytest.UsageError(f"{item.nodeid}: the marker {marker.name} has no {key!r}; {hint}")


def given(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return what the markers of a test say of its fakes, the nearest first, over what is so for the whole run."""
    config = request.config
    seed = config.getoption("understudy_seed")
    for other in (config.getini("understudy_seed"), os.environ.get("UNDERSTUDY_SEED"), 0):
        seed = seed if seed not in (None, "") else other
    lenient = config.getoption("understudy_lenient") or config.getini("understudy_lenient")
    lenient = lenient or os.environ.get("UNDERSTUDY_LENIENT") == "1"
    said = {"scenario": None, "seed": int(seed), "balance": None, "errors": None, "strict": not lenient}
    for marker in reversed(list(request.node.iter_markers("understudy"))):
        said.update(marker.kwargs)
    return said


def paths(config: pytest.Config) -> list[Path]:
    """Return the folders in which providers are looked for before the usual ones."""
    return [*config.getini("understudy_paths"), config.rootpath]


def clock_of(node: Any) -> VirtualClock:
    """Return the clock of a test: one for all its fakes."""
    from understudy.clock import VirtualClock

    if _CLOCK not in node.stash:
        node.stash[_CLOCK] = VirtualClock()
    clock: VirtualClock = node.stash[_CLOCK]
    return clock


def is_in_virtual_time(node: Any) -> bool:
    """Say whether a test runs in virtual time."""
    return node.get_closest_marker("virtual_time") is not None


def with_peer(node: Any, peer: Peer) -> None:
    """Take note of a live server that is on the clock of a test."""
    node.stash[_PEERS] = (*peers_of(node), peer)


def peers_of(node: Any) -> tuple[Peer, ...]:
    """Return the live servers that are on the clock of a test."""
    peers: tuple[Peer, ...] = node.stash.get(_PEERS, ())
    return peers


def has_score(report: object) -> bool:
    """Say whether the report of a test carries a verdict on a client."""
    return any(name == SCORE for name, _ in getattr(report, "user_properties", ()))
