"""The pytest plugin: a fixture for each provider, a factory, a live server, a marker; strict unless told otherwise.

What a fixture needs is imported when it is used: a test run without any is not slowed down.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from understudy.folders import provider_names

if TYPE_CHECKING:
    from understudy.fake import Fake
    from understudy.rented import Rented
    from understudy.server import LiveServer

_OF_THE_MARKER = ("scenario", "seed", "balance", "errors", "strict")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what can be set for a whole run: by option, in the ini file, or in the environment, in this order."""
    group = parser.getgroup("understudy")
    group.addoption("--understudy-seed", type=int, metavar="N", help="from which ids are minted")
    group.addoption("--understudy-lenient", action="store_true", help="let unexpected requests and lost callbacks pass")
    parser.addini("understudy_paths", "folders with contracts/ and fakes/", type="paths", default=[])
    parser.addini("understudy_seed", "from which ids are minted", default="")
    parser.addini("understudy_lenient", "let unexpected requests and lost callbacks pass", type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, and a fixture for each provider that is found."""
    config.addinivalue_line("markers", f"understudy({', '.join(_OF_THE_MARKER)}): how the fakes of a test act")
    fixtures = {name: _fixture_of(name) for name in provider_names(_paths(config))}
    config.pluginmanager.register(type("Providers", (), fixtures)(), "understudy-providers")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """See that each marker says what can be said."""
    from understudy.errors import suggestion

    for item in items:
        for marker in item.iter_markers("understudy"):
            for key in (*marker.args, *marker.kwargs):
                if marker.args or key not in _OF_THE_MARKER:
                    hint = suggestion(str(key), _OF_THE_MARKER)
                    raise pytest.UsageError(f"{item.nodeid}: the marker understudy has no {key!r}; {hint}")


@pytest.fixture
def understudy(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Return what makes fakes, as `understudy.Fake` does; the marker and the options of the run count."""
    from understudy.fake import Fake
    from understudy.strictness import complaints

    given = _given(request)
    strict, fakes = given.pop("strict"), list[Fake]()

    def make(provider: str, **options: Any) -> Fake:
        fakes.append(Fake(provider, **{"paths": _paths(request.config), **given, **options}))
        return fakes[-1]

    yield make
    for fake in fakes:
        fake.close()
    _fail([text for fake in fakes for text in complaints(fake.provider)] if strict else [])


@pytest.fixture(scope="session")
def _understudy_live(request: pytest.FixtureRequest) -> Iterator[LiveServer]:
    from understudy.server import serve

    with serve(paths=_paths(request.config)) as server:
        yield server


@pytest.fixture
def understudy_server(request: pytest.FixtureRequest, _understudy_live: LiveServer) -> Iterator[Rented]:
    """Return a live server with all providers: one for the session, on which each test has an account of its own."""
    from understudy.rented import Rented

    given = _given(request)
    yield (rented := Rented(_understudy_live, given["scenario"], given["balance"]))
    _fail(rented.complaints() if given["strict"] else [])


def _fixture_of(name: str) -> Any:
    @pytest.fixture(name=name.replace("-", "_"))
    def fixture(self: object, understudy: Any) -> Any:
        return understudy(name)

    fixture.__doc__ = f"Return a fake {name} in this process, on a virtual clock."
    return fixture


def _given(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return what the markers of a test say, the nearest first, over what is so for the whole run."""
    config = request.config
    seed = config.getoption("understudy_seed")
    for other in (config.getini("understudy_seed"), os.environ.get("UNDERSTUDY_SEED"), 0):
        seed = seed if seed not in (None, "") else other
    lenient = config.getoption("understudy_lenient") or config.getini("understudy_lenient")
    lenient = lenient or os.environ.get("UNDERSTUDY_LENIENT") == "1"
    given = {"scenario": None, "seed": int(seed), "balance": None, "errors": None, "strict": not lenient}
    for marker in reversed(list(request.node.iter_markers("understudy"))):
        given.update(marker.kwargs)
    return given


def _paths(config: pytest.Config) -> list[Path]:
    return [*config.getini("understudy_paths"), config.rootpath]


def _fail(complaints: list[str]) -> None:
    if complaints:
        pytest.fail("\n\n".join(complaints), pytrace=False)
