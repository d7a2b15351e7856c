"""The pytest plugin: what it adds to a run whose tests do not use it, and what a fixture costs those that do.

It is measured as it is installed from a wheel: there pytest would rewrite the assertions of all modules, if the
plugin let it. All other plugins are left out.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from benchmarks.figures import Found, Scale, Series, differences, in_turn
from benchmarks.programs import ENVIRONMENT, ROOT

HEAVY = ("httpx", "starlette", "uvicorn", "yaml", "jsonschema_rs", "hypothesis", "rich")
OTHERS = [f"-pno:{entry.name}" for entry in entry_points(group="pytest11") if entry.name != "understudy"]
# In this order: what the one has kept, the other would read.
BYTECODE: dict[str, dict[str, str]] = {"not written": {"PYTHONDONTWRITEBYTECODE": "1"}, "kept": {}}

#: Says on its last line what heavy modules were imported, and how many milliseconds each test took around its call.
CONFTEST = f"""
import json, sys, time
import pytest

took = []

@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    began = time.perf_counter()
    yield
    took.append([item.name, (time.perf_counter() - began) * 1000])

@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item):
    began = time.perf_counter()
    yield
    took[-1][1] += (time.perf_counter() - began) * 1000

def pytest_unconfigure():
    print()
    print(json.dumps({{"heavy": [name for name in {HEAVY!r} if name in sys.modules], "took": took}}))
"""

#: `rich` is hidden: httpx imports it where it finds it, and an install without extras has none.
TESTS = """
import sys
import pytest

sys.modules["rich"] = None

@pytest.mark.parametrize("number", range(50))
def test_without(number):
    pass

@pytest.mark.parametrize("number", range(51))
def test_with(number, kie):
    pass
"""


def unused(scale: Scale) -> Found:
    """`pytest --collect-only` with the plugin, less the same without, with bytecode kept and without."""
    found: Found = {}
    with _tests("def test_nothing():\n    pass\n") as (folder, environment):
        for title, variables in BYTECODE.items():
            run = partial(_run, folder, {**environment, **variables}, "--collect-only")
            sides = partial(_milliseconds, run), partial(_milliseconds, run, "-pno:understudy")
            found[title] = differences("with the plugin", "without", in_turn(scale.rounds(21), *sides), "ms")
        found["heavy"] = Series([len(run()["heavy"])])
    return found


def fixture(scale: Scale) -> Found:
    """Setting a fixture up and tearing it down: the first of a run, and the others, less what a test takes without."""
    first, further = [], []
    with _tests(TESTS) as (folder, environment):
        _run(folder, environment)  # which leaves bytecode behind
        for _ in range(scale.rounds(7)):
            took: list[tuple[str, float]] = _run(folder, environment)["took"]
            without = sorted(milliseconds for name, milliseconds in took if name.startswith("test_without"))
            first_one, *others = [milliseconds for name, milliseconds in took if name.startswith("test_with[")]
            middle = without[len(without) // 2]
            first.append(first_one - middle)
            further.append(sorted(others)[len(others) // 2] - middle)
    return {"first": Series(first), "further": Series(further)}


@contextmanager
def _tests(text: str) -> Iterator[tuple[Path, dict[str, str]]]:
    """Write a test file and install the project beside it; yield the folder, and the variables that pytest needs."""
    with tempfile.TemporaryDirectory() as name:
        folder, installed = Path(name, "tests"), Path(name, "installed")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target"]
        subprocess.run([*pip, str(installed), str(ROOT)], check=True)
        folder.mkdir()
        (folder / "conftest.py").write_text(CONFTEST)
        (folder / "test_it.py").write_text(text)
        kept = {key: value for key, value in ENVIRONMENT.items() if not key.startswith(("COV", "PYTEST"))}
        yield folder, {**kept, "PYTHONPATH": str(installed)}


def _run(folder: Path, environment: dict[str, str], *options: str) -> Any:
    """Run pytest in a folder; return what its last line says."""
    command = [sys.executable, "-m", "pytest", "-q", "-pno:cacheprovider", *OTHERS, *options]
    ran = subprocess.run(command, check=True, cwd=folder, env=environment, capture_output=True, text=True)
    return json.loads(ran.stdout.splitlines()[-1])


def _milliseconds(run: Any, *options: str) -> float:
    """Return how long it takes."""
    began = time.perf_counter()
    run(*options)
    return (time.perf_counter() - began) * 1000
