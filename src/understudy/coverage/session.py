"""Coverage of a run of pytest: what its tests touch, in this process and in the workers of pytest-xdist."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from understudy import provider
from understudy.coverage.report import Covered, as_data, as_json, merged, of_data
from understudy.coverage.run import FILE, short_of, summary
from understudy.coverage.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Under what a worker hands over what it has counted.
_KEY = "understudy_coverage"


class Session:
    """A plugin of one run, or of one worker of it.

    Args:
        config: Of the run.
        file: Where what was counted is written, from the root of the project; None for `FILE`.
        fail_under: The percentage that each provider has to reach, or the run fails.
    """

    def __init__(self, config: pytest.Config, *, file: Path | None, fail_under: float) -> None:
        self._config = config
        self._file = config.rootpath / (file or FILE)
        self._fail_under = fail_under
        self._tally = Tally()
        self._of_workers: list[Sequence[Covered]] = []
        self._report: list[Covered] = []
        provider.onlookers.append(self._tally.attend)

    def pytest_unconfigure(self) -> None:
        """Look away."""
        provider.onlookers.remove(self._tally.attend)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take what a worker has counted; one that has crashed hands over nothing."""
        data = getattr(node, "workeroutput", {}).get(_KEY)
        if data is not None:
            self._of_workers.append(of_data(data, "a worker"))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Hand over what was counted, or write it to the file; fail the run where it falls short."""
        report = merged([*self._of_workers, self._tally.report()])
        if hasattr(self._config, "workeroutput"):
            self._config.workeroutput[_KEY] = as_data(report)
            return
        self._report = report
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(as_json(report), encoding="utf-8")
        if short_of(report, self._fail_under) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what was touched, and what was not."""
        terminalreporter.section("understudy coverage")
        for line in summary(self._report, shutil.get_terminal_size().columns) or ["nothing was touched"]:
            terminalreporter.line(line)
        for covered in short_of(self._report, self._fail_under):
            terminalreporter.line(f"FAILED: {covered.provider} is below {self._fail_under:g} %", red=True)
        shown = os.path.relpath(self._file)
        named = "" if shown == FILE else f" {shown}"
        terminalreporter.line(f"`understudy coverage{named}` says what closes each gap, --format html shows it")
