"""What was found, as text for a terminal, as JSON, and as the part of the page that nobody writes by hand."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.figures import TIMES, Found, Missing, Series
from benchmarks.measures import Measure, Row

BEGIN = "<!-- figures: written by `make bench` -->"
END = "<!-- end of figures -->"


@dataclass(frozen=True, slots=True)
class Result:
    """What one measure has found."""

    measure: Measure
    found: Found | Missing

    def of(self, row: Row) -> Series | Missing:
        """Return what was found for a row."""
        return self.found if isinstance(self.found, Missing) else self.found[row.key]


@dataclass(frozen=True, slots=True)
class Run:
    """A run of the harness.

    Attributes:
        date: When.
        machine: On what.
        versions: Of what was measured.
        scale: How much of it was measured.
        results: What was found.
    """

    date: str
    machine: str
    versions: dict[str, str]
    scale: str
    results: Sequence[Result]


def shown(value: float, unit: str = "") -> str:
    """Return a figure as a person reads it: ratios with two decimals, others with three digits."""
    return f"{_digits(value, unit)} {unit}".strip()


def _digits(value: float, unit: str) -> str:
    return f"{value:.2f}" if unit == TIMES else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def asked(row: Row) -> str:
    """Return what a figure must be, and should be."""
    if row.must is None:
        return ""
    aim = "" if row.aim is None else f", aim {row.aim:g}"
    return f"at {'least' if row.at_least else 'most'} {row.must:g}{aim}"


def verdict(row: Row, series: Series) -> str:
    """Return whether a figure is what it must be."""
    return {True: "yes", False: "no", None: ""}[row.reaches(series)]


def sides(series: Series) -> str:
    """Return the medians that a ratio was made of."""
    medians = ((name, statistics.median(values)) for name, values in series.sides.items())
    return ", ".join(f"{name} {shown(value, series.unit)}" for name, value in medians)


def spread(row: Row, series: Series) -> str:
    """Return between what half of the rounds are."""
    low, high = series.middle_half
    return "" if len(series.rounds) == 1 else f"{_digits(low, row.unit)} to {_digits(high, row.unit)}"


def lines(result: Result) -> Iterator[str]:
    """Yield what a terminal shows of a result."""
    yield f"\n{result.measure.title}  [{result.measure.name}]"
    if isinstance(result.found, Missing):
        yield f"  left out: {result.found.reason}"
        return
    for row in result.measure.rows:
        series = result.found[row.key]
        if isinstance(series, Missing):
            yield f"  {row.title}: left out: {series.reason}"
            continue
        figure = f"{shown(series.median, row.unit):>9}  ({spread(row, series) or 'once'})"
        yield f"  {row.title:<56} {figure:<34} {asked(row):<26} {verdict(row, series)}".rstrip()
        if len(series.rounds) > 1:
            yield f"      round by round: {' '.join(f'{value:.3g}' for value in series.rounds)}"
        if series.sides:
            yield f"      {sides(series)}"


def as_data(run: Run) -> dict[str, Any]:
    """Return a run as JSON has it, with the figures of each round."""
    rows = [
        {
            "measure": result.measure.name,
            "title": f"{result.measure.title}: {row.title}",
            "unit": row.unit,
            "must": row.must,
            "aim": row.aim,
            "at_least": row.at_least,
            **_figures(row, result.of(row)),
        }
        for result in run.results
        for row in result.measure.rows
    ]
    return {
        "date": run.date,
        "machine": run.machine,
        "versions": run.versions,
        "scale": run.scale,
        "rows": rows,
    }


def _figures(row: Row, found: Series | Missing) -> dict[str, Any]:
    if isinstance(found, Missing):
        return {"left_out": found.reason}
    return {
        "median": _rounded([found.median])[0],
        "middle_half": _rounded(found.middle_half),
        "reached": row.reaches(found),
        "rounds": _rounded(found.rounds),
        "sides": {name: _rounded(values) for name, values in found.sides.items()},
        "sides_unit": found.unit,
    }


def as_json(run: Run) -> str:
    """Return a run as JSON, with one line for each row."""
    data = as_data(run)
    rows = ",\n  ".join(json.dumps(row, ensure_ascii=False) for row in data.pop("rows"))
    head = json.dumps(data, ensure_ascii=False, indent=1)
    return f'{head[:-2]},\n "rows": [\n  {rows}\n ]\n}}\n'


def _rounded(values: Sequence[float]) -> list[float]:
    """Return four digits of each figure, which is more than can be measured."""
    return [float(f"{value:.4g}") for value in values]


def page(text: str, run: Run, drawing: str) -> str:
    """Return a page with the figures of a run between its two marks.

    Raises:
        ValueError: The page has no such marks.
    """
    before, begun, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not begun or not ended:
        raise ValueError(f"the page has no place for the figures: {BEGIN} and {END} have to be in it, in this order")
    return f"{before}{BEGIN}\n{_written(run, drawing)}\n{END}{after}"


def _written(run: Run, drawing: str) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    told = f"{run.date}, {run.machine}; {run.scale}. {versions}."
    head = "| measure | median | half of the rounds | of | must be | reached |\n|---|---|---|---|---|---|"
    return "\n".join(["", told, "", f"![The figures against what they must be]({drawing})", "", head, *_table(run), ""])


def _table(run: Run) -> Iterator[str]:
    for result in run.results:
        left_out = f"left out: {result.found.reason}" if isinstance(result.found, Missing) else ""
        yield f"| **{result.measure.title}** | {left_out} | | | | |"
        if isinstance(result.found, Missing):
            continue
        for row in result.measure.rows:
            series = result.found[row.key]
            if isinstance(series, Missing):
                yield f"| {row.title} | left out: {series.reason} | | | | |"
                continue
            cells = shown(series.median, row.unit), spread(row, series), sides(series), asked(row), verdict(row, series)
            yield f"| {row.title} | {' | '.join(cells)} |"
