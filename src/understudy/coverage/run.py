"""`understudy coverage`: say what the tests of a team, or whoever has used a server, have touched."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from understudy.coverage.report import Covered, Item, Report, as_json, merged, of_data, read
from understudy.errors import UsageError
from understudy.outputs import WRITERS, Case, Finding

#: Where a run of pytest leaves what it has counted.
FILE = ".understudy-coverage"


def run(files: Sequence[Path], *, url: str | None = None, format: str = "text", fail_under: float = 0) -> int:
    """Print what was touched.

    Args:
        files: What runs of pytest have written; all of them together count. `FILE` where there is none, and no `url`.
        url: Of a live server that has counted, too.
        format: `text`, `html`, `json`, or one of `outputs`.
        fail_under: The percentage that each provider has to reach.

    Returns:
        The exit code: 1 when one does not reach it.

    Raises:
        UsageError: A file cannot be used, or no server answers.
    """
    asked = [_ask(url)] if url is not None else []
    report = merged([*asked, *map(read, files or ([] if asked else [Path(FILE)]))])
    if format == "json":
        text = as_json(report)
    elif format == "html":
        from understudy.coverage.page import page

        text = page(report)
    elif format in WRITERS:
        text = WRITERS[format]("coverage", as_cases(report, fail_under))
    else:
        text = as_text(report)
    sys.stdout.write(text)
    return 1 if short_of(report, fail_under) else 0


def _ask(url: str) -> list[Covered]:
    import httpx

    asked = f"{url.rstrip('/')}/__admin/coverage"
    try:
        reply = httpx.get(asked, trust_env=False)
        data = reply.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        raise UsageError(
            f"no server answers at {asked}.\n  `understudy serve` starts one, and prints its address."
        ) from None
    return of_data(data, asked)


def short_of(report: Report, fail_under: float) -> list[Covered]:
    """Return the providers that do not reach a percentage."""
    return [covered for covered in report if covered.percent < fail_under]


def as_cases(report: Report, fail_under: float) -> list[Case]:
    """Return a report for CI: each thing is a case, and where a provider falls short, its gaps have failed."""
    return [
        Case(
            covered.provider,
            f"{item.kind}: {item.name}",
            () if item.times else (_gap(covered, item, failing=covered.percent < fail_under),),
        )
        for covered in report
        for item in covered.items
    ]


def _gap(covered: Covered, item: Item, *, failing: bool) -> Finding:
    told = f"{covered.provider}: no test has touched {item.name} ({item.kind}, {covered.percent} % touched)"
    return Finding("gap", "error" if failing else "note", f"{told}\nto close it: {item.close}")


def as_text(report: Report) -> str:
    """Return a report for people: for each provider how much, and for each gap what closes it."""
    lines: list[str] = []
    for covered in report:
        lines.append(head_of(covered))
        for kind, items in covered.by_kind().items():
            gaps = [item for item in items if not item.times]
            lines.append(f"  {kind} {len(items) - len(gaps)} of {len(items)}")
            width = max((len(item.name) for item in gaps), default=0)
            lines += [f"    {item.name:<{width}}  {item.close}" for item in gaps]
    return "\n".join([*lines, ""]) if lines else "nothing was touched\n"


def summary(report: Report, width: int) -> list[str]:
    """Return a report in few lines, none longer than `width`: how much of each kind, and the first gaps."""
    lines = []
    for covered in report:
        lines.append(head_of(covered))
        for kind, items in covered.by_kind().items():
            gaps = [item.name for item in items if not item.times]
            line = f"  {kind} {len(items) - len(gaps)} of {len(items)}" + (f", not {', '.join(gaps)}" if gaps else "")
            lines.append(line if len(line) <= width else f"{line[: width - 1]}…")
    return lines


def head_of(covered: Covered) -> str:
    """Return how much of a provider was touched, as a line."""
    touched = len(covered.items) - len(covered.gaps)
    return f"{covered.provider}: {covered.percent} %, {touched} of {len(covered.items)} touched"
