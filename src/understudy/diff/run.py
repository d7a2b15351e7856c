"""`understudy diff`: say what has changed for a consumer, for people and for CI."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence

from understudy.diff.changes import GRADES, Change, Grade
from understudy.diff.compare import compare
from understudy.diff.sources import contract_at
from understudy.outputs import WRITERS, Case, Finding, Level

_LEVELS: dict[Grade, Level] = {"breaking": "error", "risky": "warning", "safe": "note"}


def run(old: str, new: str, *, format: str = "text", fail_on: str = "breaking") -> int:
    """Compare two versions of a contract and print what has changed.

    Args:
        old: The version that consumers know; see `contract_at`.
        new: The version that they will meet.
        format: `text`, `json`, or one of `outputs`.
        fail_on: The mildest grade that fails: `breaking`, `risky`, `safe`; `never` for none.

    Returns:
        The exit code: 0 when nothing of that grade was found, 1 when something was.

    Raises:
        UsageError: There is no such version.
        ContractInvalid: One of them cannot be used.
    """
    with contract_at(old, new) as before, contract_at(new, old) as after:
        changes, name = compare(before, after), after.name
    if format == "json":
        sys.stdout.write(json.dumps([change._asdict() for change in changes], indent=2) + "\n")
    elif format in WRITERS:
        sys.stdout.write(WRITERS[format]("diff", as_cases(name, changes)))
    else:
        sys.stdout.write(as_text(name, changes))
    failing = () if fail_on == "never" else GRADES[: [str(grade) for grade in GRADES].index(fail_on) + 1]
    return 1 if any(change.grade in failing for change in changes) else 0


def as_text(name: str, changes: Sequence[Change]) -> str:
    """Return the changes for people, the worst first."""
    lines: list[str] = []
    for grade in GRADES:
        own = [change for change in changes if change.grade == grade]
        if own:
            lines.append(grade)
        for change in own:
            lines += [f"  {change.text}", f"    {change.where} ({change.rule}, {change.file}:{change.line})"]
    counts = Counter(change.grade for change in changes)
    summary = ", ".join(f"{counts[grade]} {grade}" for grade in GRADES if counts[grade])
    return "\n".join([*lines, f"{name}: {summary or 'nothing has changed for a consumer'}", ""])


def as_cases(name: str, changes: Sequence[Change]) -> list[Case]:
    """Return the changes for CI: each grade of them is a case."""
    return [
        Case(
            name,
            f"no {grade} change",
            tuple(
                Finding(change.rule, _LEVELS[grade], f"{change.text} ({change.where})", change.file, change.line)
                for change in changes
                if change.grade == grade
            ),
        )
        for grade in GRADES
    ]
