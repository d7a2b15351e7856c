"""Start-up: what `import understudy` adds, and how soon and how small `understudy serve` is, against L."""

from __future__ import annotations

import subprocess
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.contenders import LIMIT, UNDERSTUDY, Contender
from benchmarks.figures import Found, Missing, Scale, Series, differences, in_turn, ratios
from benchmarks.load import ask, check
from benchmarks.played import PROVIDER, request
from benchmarks.programs import ENVIRONMENT, free_port, python_of, started

ROUNDS = 15

#: What each is asked for first; that of a provider waits until its contract is loaded.
HEALTH = request("GET", "/__admin/health")
CREDIT = request("GET", f"/{PROVIDER}/api/v1/chat/credit")
UNKNOWN = request("GET", "/api/v1/jobs/recordInfo?taskId=1")


def _everybody(port: int, folder: Path) -> list[str]:
    return [python_of("base"), "-m", "understudy", "serve", "--port", str(port), "--asset-port", "0", "--quiet"]


#: As it is started without a word: all bundled providers, each loaded when it is asked for.
ALL = replace(UNDERSTUDY, command=_everybody)


def imported(scale: Scale) -> Found:
    """`import understudy`, less an interpreter that imports nothing."""
    rounds = in_turn(scale.rounds(ROUNDS), partial(_run, "import understudy"), partial(_run, "pass"))
    return {"added": differences("import understudy", "a bare interpreter", rounds, "ms")}


def serve(scale: Scale) -> Found | Missing:
    """From the start of a server to its first answer, in turn with L, and its memory then."""
    if reason := UNDERSTUDY.lacks():
        return Missing(reason)
    found: Found = {}
    for what, asked in (("health", HEALTH), ("provider", CREDIT)):
        sides = partial(_first_answer, ALL, asked), partial(_first_answer, LIMIT, UNKNOWN)
        rounds = in_turn(scale.rounds(ROUNDS), *sides)
        pairs = [(ours, theirs) for (ours, _), (theirs, _) in rounds]
        megabytes = [(ours, theirs) for (_, ours), (_, theirs) in rounds]
        found[what] = ratios("Understudy", "L", pairs, "ms")
        memory = ratios("Understudy", "L", megabytes, "MB")
        found[f"{what} memory"] = Series(memory.sides["Understudy"], memory.sides, "MB")
    return found


def _run(code: str) -> float:
    """Return how many milliseconds an interpreter takes to run a line."""
    began = time.perf_counter()
    subprocess.run([python_of("base"), "-c", code], check=True, env=ENVIRONMENT)
    return (time.perf_counter() - began) * 1000


def _first_answer(contender: Contender, asked: bytes) -> tuple[float, float]:
    """Return the milliseconds from the start of a server to its first answer, and its memory then in megabytes."""
    with tempfile.TemporaryDirectory() as name:
        port = free_port()
        command = contender.command(port, Path(name))
        began = time.perf_counter()
        with started(command, Path(name)) as program:
            program.wait_for_port(port)
            check(ask(port, asked), b"")
            return (time.perf_counter() - began) * 1000, program.resident_megabytes()
