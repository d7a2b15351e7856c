"""Mutation testing: how many small changes to the client and the pipeline the tests notice; see `docs/mutation.md`.

mutmut makes the mutants and runs them, in a copy of the project: none of them ever gets into this folder. Each group of
modules has the test files that are run on it; of those, mutmut runs the tests that come through the function it has
changed, the quick ones first, and stops at the first that fails. Run it with `make mutation`.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
NOT_COPIED = shutil.ignore_patterns(".git", ".venv", ".hypothesis", ".*_cache", "__pycache__", "dist", "htmlcov")

#: The modules that belong together, and the tests that are about them.
GROUPS: dict[str, tuple[str, str]] = {
    "client": (
        "submits waits talk flows shell client exchange listening inbox",
        "flows flows_waits client client_wire client_and_fake follow exchange inbox keyring listening ordeal shell",
    ),
    "pipeline": (
        "pipeline provider call creates handlers stage trouble refusals",
        "provider creates handlers stage trouble refusals faults scenarios fake transport catalogue wire files "
        "callback ordeal",
    ),
    "parts": (
        "lifecycle plan ledger limits callback asked",
        "lifecycle plan ledger limits callback asked keyring creates handlers stage behaviour provider scenarios fake",
    ),
}

#: Appended to the copy's pyproject.toml.
CONFIG = """
[tool.mutmut]
source_paths = ["src"]
only_mutate = {modules}
pytest_add_cli_args_test_selection = {tests}
pytest_add_cli_args = ["-p", "no:randomly", "-p", "no:xdist", "-p", "no:cacheprovider", "-k", "not over_sockets"]
also_copy = ["benchmarks", "conftest.py", "contracts", "docs", "examples", "fakes", "README.md", "Makefile"]
timeout_constant = 2.0
timeout_multiplier = 4.0
"""

#: Appended to its conftest.py: what fails need not be made small, and the same mutants meet the same examples.
PROFILE = """
from hypothesis import Phase
_QUICK = settings.get_profile("quick")
settings.register_profile("mutation", _QUICK, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate])
settings.load_profile("mutation")
"""

#: What mutmut knows a mutant's end by; 0 is a test run in which nothing failed, 33 and 5 one without a test.
KILLED, TIMEOUTS, MISSED = {1, 3}, {24, 36, 152, 255, -24}, {0, 5, 33}


def prepared(work: Path, group: str, only: set[str]) -> Path:
    """Copy the project, unless that was done before, and return where to."""
    modules, tests = (names.split() for names in GROUPS[group])
    copy = work / group
    if not copy.exists():
        shutil.copytree(ROOT, copy, ignore=NOT_COPIED)
        config = CONFIG.format(
            modules=json.dumps([f"src/understudy/{name}.py" for name in modules if not only or name in only]),
            tests=json.dumps([f"tests/test_{name}.py" for name in tests]),
        )
        for name, more in (("pyproject.toml", config), ("conftest.py", PROFILE)):
            with (copy / name).open("a", encoding="utf-8") as file:
                file.write(more)
    return copy


def mutmut(copy: Path, jobs: int, names: Iterable[str]) -> subprocess.CompletedProcess[str]:
    """Run the mutants of these names in a copy."""
    command = [str(Path(sys.executable).with_name("mutmut")), "run", "--max-children", str(jobs), *names]
    environment = {**os.environ, "HYPOTHESIS_PROFILE": "quick"}
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)


def ends(copy: Path) -> Iterator[tuple[str, dict[str, int | None]]]:
    """Yield each module that has mutants, with how each of them has ended: an exit code, None if it was not run."""
    for file in sorted((copy / "mutants/src/understudy").glob("*.py.meta")):
        yield file.name.removesuffix(".py.meta"), json.loads(file.read_text())["exit_code_by_key"]


def living(copy: Path) -> Iterator[str]:
    """Yield the mutants that were run and not killed."""
    for _, found in ends(copy):
        yield from (name for name, code in found.items() if code is not None and code not in KILLED)


def sampled(copy: Path, seed: int, most: int) -> Iterator[str]:
    """Yield the mutants to run: of each module all, or so many that are drawn with the seed and the module's name."""
    for module, found in ends(copy):
        names = sorted(found)
        yield from names if len(names) <= most else random.Random(f"{seed} {module}").sample(names, most)


def report(copies: Iterable[Path]) -> None:
    """Print the table, and then the names of the mutants that live."""
    copies, total = [*copies], collections.Counter[str]()
    print("| module | made | run | killed | timed out | survived | noticed |\n|---|--:|--:|--:|--:|--:|--:|")
    for module, found in (entry for copy in copies for entry in ends(copy)):
        codes = [code for code in found.values() if code is not None]
        row = {
            "made": len(found),
            "run": len(codes),
            "killed": sum(code in KILLED for code in codes),
            "timed out": sum(code in TIMEOUTS for code in codes),
            "survived": sum(code in MISSED for code in codes),
        }
        print(line(f"`{module}`", row))
        total.update(row)
    print(line("all", total))
    print("\nNot killed; `mutmut show NAME` in the copy shows one:")
    print(*(f"  {name}" for copy in copies for name in living(copy)), sep="\n")


def line(name: str, row: dict[str, int]) -> str:
    noticed = (row["killed"] + row["timed out"]) / max(row["run"], 1)
    return f"| {name} | {' | '.join(map(str, row.values()))} | {noticed:.0%} |"


def main() -> None:
    """Make the mutants, run them, and print how they ended."""
    parser = argparse.ArgumentParser(description="Mutation testing of the client and the pipeline.")
    parser.add_argument("module", nargs="*", help="of src/understudy; all of the groups by default")
    parser.add_argument("--sample", type=int, default=60, help="mutants of each module (default: 60)")
    parser.add_argument("--seed", type=int, default=0, help="that the sample is drawn with (default: 0)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    parser.add_argument(
        "--again", action="store_true", help="run those of --work that live, with the tests as they are"
    )
    parser.add_argument("--work", type=Path, help="where the copies go and stay (default: a new temporary folder)")
    options = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp(prefix="mutation-"))
    only = set(options.module)
    groups = [group for group, (modules, _) in GROUPS.items() if not only or only & set(modules.split())]
    copies = [prepared(work, group, only) for group in groups]
    for copy in copies:
        if options.again:
            shutil.copytree(ROOT / "tests", copy / "tests", dirs_exist_ok=True)
            names = [*living(copy)]
        else:
            mutmut(copy, options.jobs, ["none of them"])  # this makes the mutants, times the tests, and runs nothing
            names = [*sampled(copy, options.seed, options.sample)]
        if not names:
            continue
        done = mutmut(copy, options.jobs, names)
        if done.returncode:
            sys.exit(f"mutmut failed in {copy}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    report(copies)
    print(f"\nThe copies are in {work}.")


if __name__ == "__main__":
    main()
