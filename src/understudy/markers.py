"""What a test says of its fakes: by its markers, and for a whole run by options, the ini file and the environment.

Imported by the plugin at every start of pytest, so nothing here is heavy.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
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
    group.addoption("--understudy-coverage", action="store_true", help="count what the tests touch of the contracts")
    group.addoption("--understudy-coverage-file", metavar="FILE", help="where what was counted is written")
    group.addoption(
        "--understudy-coverage-fail-under",
        metavar="N",
        help="count, and fail where a provider is touched by less than N %%",
    )
    parser.addini("understudy_paths", "folders with contracts/ and fakes/", type="paths", default=[])
    parser.addini("understudy_seed", "from which ids are minted", default="")
    parser.addini("understudy_lenient", "let unexpected requests and lost callbacks pass", type="bool", default=False)
    parser.addini("understudy_coverage", "count what the tests touch of the contracts", type="bool", default=False)
    parser.addini("understudy_coverage_file", "where what was counted is written", default="")
    parser.addini("understudy_coverage_fail_under", "count, and fail below so many percent", default="")


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
    seed = _said(request.config, "understudy_seed") or 0
    lenient = _said(request.config, "understudy_lenient") in (True, "1")
    said = {"scenario": None, "seed": int(seed), "balance": None, "errors": None, "strict": not lenient}
    for marker in reversed(list(request.node.iter_markers("understudy"))):
        said.update(marker.kwargs)
    return said


def _said(config: pytest.Config, name: str) -> Any:
    """Return what was said for the whole run, by option, else in the ini file, else in the environment, or None."""
    for value in (config.getoption(name), config.getini(name), os.environ.get(name.upper())):
        if value is not None and value != "" and value is not False:
            return value
    return None


def wanted(config: pytest.Config) -> dict[str, Any] | None:
    """Return how what the tests touch is to be counted; None where it is not.

    Raises:
        pytest.UsageError: The percentage is none.
    """
    file, percent = (_said(config, f"understudy_coverage_{name}") for name in ("file", "fail_under"))
    if percent is None and _said(config, "understudy_coverage") not in (True, "1"):
        return None
    try:
        least = float(percent or 0)
    except ValueError:
        least = -1
    if not 0 <= least <= 100:
        raise pytest.UsageError(
            f"--understudy-coverage-fail-under has to be a number from 0 to 100, and not {percent!r}"
        )
    return {"file": None if file is None else Path(file), "fail_under": least}


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


def scored(stats: Mapping[str, Iterable[Any]]) -> list[Any]:
    """Return the reports of tests that carry a verdict on a client."""
    reports = (report for some in stats.values() for report in some)
    return [report for report in reports if any(name == SCORE for name, _ in getattr(report, "user_properties", ()))]
