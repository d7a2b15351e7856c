"""The pytest plugin: what it adds to a run whose tests do not use it, with bytecode kept and without.

It is measured as it is installed from a wheel, since pytest rewrites the assertions of all modules of what is installed
so. Both are run in turn, all other plugins left out; the difference is taken pair by pair, and its median is what
counts. Run it with `make bench`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from importlib.metadata import entry_points
from pathlib import Path

from startup import ENVIRONMENT, shown

PAIRS = 31
ROOT = Path(__file__).parents[1]
HEAVY = ("httpx", "starlette", "uvicorn", "yaml", "jsonschema_rs", "hypothesis", "rich")
OTHERS = [f"-pno:{entry.name}" for entry in entry_points(group="pytest11") if entry.name != "understudy"]
# In this order: what the one has kept, the other would read.
BYTECODE: dict[str, dict[str, str]] = {"not written": {"PYTHONDONTWRITEBYTECODE": "1"}, "kept": {}}

# Says what of the heavy modules was imported.
CONFTEST = f"""
import sys

def pytest_report_collectionfinish():
    return "heavy: " + (", ".join(name for name in {HEAVY!r} if name in sys.modules) or "none")
"""


def install(folder: Path) -> None:
    """Install the project into a folder, from a wheel."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target"]
    subprocess.run([*pip, str(folder), str(ROOT)], check=True)


def collect(folder: Path, environment: dict[str, str], *options: str) -> tuple[float, str]:
    """Have pytest collect the tests of a folder; return how many milliseconds it takes, and what it says."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-pno:cacheprovider", *OTHERS, *options]
    began = time.perf_counter()
    ran = subprocess.run(command, check=True, cwd=folder, env=environment, capture_output=True, text=True)
    return (time.perf_counter() - began) * 1000, ran.stdout


def main() -> None:
    """Print the figures."""
    print(f"pytest --collect-only, {PAIRS} pairs, median (least to most), {os.cpu_count()} CPUs\n")
    with tempfile.TemporaryDirectory() as name:
        folder, installed = Path(name, "tests"), Path(name, "installed")
        install(installed)
        folder.mkdir()
        (folder / "conftest.py").write_text(CONFTEST)
        (folder / "test_nothing.py").write_text("def test_nothing():\n    pass\n")
        for title, variables in BYTECODE.items():
            environment = {**ENVIRONMENT, **variables, "PYTHONPATH": str(installed)}
            ours, bare = list[float](), list[float]()
            said = collect(folder, environment)[1]
            for _ in range(PAIRS):
                ours.append(collect(folder, environment)[0])
                bare.append(collect(folder, environment, "-pno:understudy")[0])
            added = [first - second for first, second in zip(ours, bare, strict=True)]
            heavy = next(line for line in said.splitlines() if line.startswith("heavy: "))
            print(f"bytecode {title:12}  with the plugin {shown(ours)} ms, without {shown(bare)} ms")
            print(f"  added                {shown(added)} ms   (under 30), {heavy}")


if __name__ == "__main__":
    main()
