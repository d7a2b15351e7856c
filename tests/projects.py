"""Small projects of others, in which our plugin is tried from outside."""

from __future__ import annotations

import os

import pytest


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project whose tests run as strictly as can be, in a process of their own."""
    for name in [name for name in os.environ if name.startswith(("PYTEST_", "COV_", "UNDERSTUDY_"))]:
        monkeypatch.delenv(name)
    pytester.makeini("[pytest]\naddopts = --strict-markers -W error -p no:schemathesis -p no:asyncio\n")
    return pytester


def run(project: pytest.Pytester, code: str, *options: str) -> pytest.RunResult:
    """Run tests of the project."""
    project.makepyfile(code)
    return project.runpytest_subprocess("-p", "no:cacheprovider", *options)
