"""The examples run as their readers would run them: copied to a folder of their own, by pytest and the command line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.unmeasured

EXAMPLES = Path(__file__).parents[1] / "examples"

#: At least so many tests pass in each.
PASSING = {"pictures": 40, "own-provider": 20}


def run(folder: Path, *arguments: str) -> str:
    """Run a module of Python in a folder, see that it ends well, and return what it prints."""
    outside = ("PYTEST_", "COV", "UNDERSTUDY_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(outside)}
    environment["HYPOTHESIS_STORAGE_DIRECTORY"] = str(EXAMPLES.parent / ".hypothesis")  # seconds are saved by its cache
    command = [sys.executable, "-m", *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def copied(example: str, folder: Path) -> Path:
    """Return a copy of an example, without what earlier runs left behind."""
    left = shutil.ignore_patterns(".*", "__pycache__")
    return Path(shutil.copytree(EXAMPLES / example, folder / example, ignore=left))


def test_each_example_is_run() -> None:
    """No example is forgotten here."""
    assert {path.name for path in EXAMPLES.iterdir() if path.is_dir()} == set(PASSING)


@pytest.mark.parametrize("example", PASSING)
def test_an_example_passes(example: str, tmp_path: Path) -> None:
    """The tests of an example pass, and none is lost."""
    said = run(copied(example, tmp_path), "pytest", "-q", "-p", "no:cacheprovider")

    passed = re.search(r"^(\d+) passed", said, re.MULTILINE)
    assert passed is not None, said
    assert int(passed[1]) >= PASSING[example], said


def test_the_provider_of_the_example_is_fine(tmp_path: Path) -> None:
    """`understudy check` accepts it, and its recording is reproduced."""
    said = run(copied("own-provider", tmp_path), "understudy", "check", "contracts/prints")

    assert "prints: fine" in said
    assert "1 of 1 recording reproduced" in said
