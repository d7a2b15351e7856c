"""What holds for every test run: how hard Hypothesis tries, and whether a skipped test is forgiven.

HYPOTHESIS_PROFILE chooses the profile: `quick`, `ci` (the default) or `nightly`. `ci` draws the same examples every
time, so that what fails is what was changed; the others draw new ones. Under UNDERSTUDY_NO_SKIPS=1 a skipped test fails
the run, so that a machine that lacks something cannot pass by leaving tests out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from coverage import Coverage
from hypothesis import settings

pytest_plugins = ["pytester", "tests.projects"]

# Hypothesis picks a profile of its own where it sees a CI; ours start from its defaults, to be the same everywhere.
_DEFAULTS = settings.get_profile("default")
settings.register_profile("quick", _DEFAULTS, deadline=None, print_blob=True, max_examples=10)
settings.register_profile("ci", _DEFAULTS, deadline=None, max_examples=40, derandomize=True)
settings.register_profile("nightly", _DEFAULTS, deadline=None, print_blob=True, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

_NO_SKIPS = os.environ.get("UNDERSTUDY_NO_SKIPS") == "1"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Leave what is `unmeasured` out of the coverage, with all that it starts: with it, it would take twice as long."""
    measuring = Coverage.current()
    if measuring is None or item.get_closest_marker("unmeasured") is None:
        return (yield)
    config = os.environ.pop("COVERAGE_PROCESS_CONFIG", None)
    measuring.stop()
    try:
        return (yield)
    finally:
        measuring.start()
        if config is not None:
            os.environ["COVERAGE_PROCESS_CONFIG"] = config


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run for skipped tests where they are not forgiven."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    # A worker of pytest-xdist has no reporter; the process that started it counts.
    if _NO_SKIPS and reporter and reporter.stats.get("skipped") and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say why the run failed, when it failed for skipped tests."""
    skipped = terminalreporter.stats.get("skipped", [])
    if _NO_SKIPS and skipped:
        terminalreporter.write_line(f"FAILED: {len(skipped)} skipped, and UNDERSTUDY_NO_SKIPS=1 allows none", red=True)
