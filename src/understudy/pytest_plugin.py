"""The pytest plugin: fixtures, virtual time, coverage. What one needs is imported when it is used: no run is slower."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from understudy import unrewritten  # noqa: F401 # which has to be the first
from understudy.folders import provider_names
from understudy.markers import add_markers, add_options, check, clock_of, given, paths, peers_of, scored, wanted

if TYPE_CHECKING:
    from understudy.fake import Fake
    from understudy.rented import Rented
    from understudy.server import LiveServer


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what can be set for a whole run."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known, and a fixture for each provider that is found."""
    add_markers(config)
    fixtures = {name: _fixture_of(name) for name in provider_names(paths(config))}
    config.pluginmanager.register(type("Providers", (), fixtures)(), "understudy-providers")
    if (options := wanted(config)) is not None:
        from understudy.coverage.session import Session

        config.pluginmanager.register(Session(config, **options), "understudy-coverage")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """See that each marker says what can be said."""
    check(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Run a test in virtual time, where it is marked so."""
    if (marker := item.get_closest_marker("virtual_time")) is None:
        return (yield)
    from understudy.virtual_time import virtual_time

    with virtual_time(clock_of(item), peers=peers_of(item), **marker.kwargs):
        return (yield)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the scorecards of the suites that judged a client."""
    if reports := scored(terminalreporter.stats):
        from understudy.testing.verdict import write_scorecards

        write_scorecards(terminalreporter, reports)


@pytest.fixture
def understudy(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Return what makes fakes, as `understudy.Fake` does; the marker and the options of the run count."""
    from understudy.fake import Fake
    from understudy.strictness import complaints

    said = {"paths": paths(request.config), "clock": clock_of(request.node), **given(request)}
    strict, fakes = said.pop("strict"), list[Fake]()

    def make(provider: str, **options: Any) -> Fake:
        fakes.append(Fake(provider, **{**said, **options}))
        return fakes[-1]

    yield make
    for fake in fakes:
        fake.close()
    _fail([text for fake in fakes for text in complaints(fake.provider)] if strict else [])


@pytest.fixture(scope="session")
def _understudy_live(request: pytest.FixtureRequest) -> Iterator[LiveServer]:
    from understudy.server import serve

    with serve(paths=paths(request.config)) as server:
        yield server


@pytest.fixture
def understudy_server(request: pytest.FixtureRequest) -> Iterator[Rented]:
    """Return a live server with all providers: one for the session, on which each test has an account of its own.

    A test in virtual time gets a server of its own, on its clock.
    """
    from understudy.rented import Rented, server_for

    said = given(request)
    with server_for(request) as server:
        yield (rented := Rented(server, said["scenario"], said["balance"]))
    _fail(rented.complaints() if said["strict"] else [])


@pytest.fixture
def understudy_proxy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveServer]:
    """Lead this test, and what it starts, from the providers' real hosts to a live server of its own, and return it."""
    from understudy.rented import led

    _fail((yield from led(request, monkeypatch)))


def _fixture_of(name: str) -> Any:
    @pytest.fixture(name=name.replace("-", "_"))
    def fixture(self: object, understudy: Any) -> Any:
        return understudy(name)

    fixture.__doc__ = f"Return a fake {name} in this process, on a virtual clock."
    return fixture


def _fail(complaints: Iterable[str]) -> None:
    if complaints:
        pytest.fail("\n\n".join(complaints), pytrace=False)
