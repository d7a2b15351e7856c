"""The figures as a drawing: each row a bar, and one line that none should cross, for light and dark pages."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from benchmarks.figures import Series
from benchmarks.measures import Row
from benchmarks.report import Run, asked, shown

WIDTH = 980
LABELS = 410
BARS = 270
LINE = 20
TOP = 58

#: A bar ends here, as a multiple of what is allowed.
MOST = 2.0

_STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600; font-size: 15px } .group { font-weight: 600 } .small { fill: #59636e }
  .good { fill: #2da44e } .bad { fill: #d1652b } .track { fill: #818b9820 }
  .spread, .aim { stroke: #1f2328; stroke-width: 1.5 } .aim { stroke-dasharray: 2 2 }
  .round { fill: #1f2328; opacity: .35 }
  .must { stroke: #1f2328; stroke-width: 1 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .small { fill: #9198a1 } .round { fill: #e6edf3 }
    .spread, .aim, .must { stroke: #e6edf3 }
  }
"""


def share(row: Row, value: float) -> float:
    """Return a figure as a multiple of what it may be at most, whichever way is better."""
    assert row.must is not None
    if row.at_least:
        return row.must / value if value > 0 else MOST
    if row.must == 0:
        return 0.0 if value <= 0 else MOST
    return max(value / row.must, 0.0)


def draw(run: Run) -> str:
    """Return the rows of a run that must reach something as an SVG."""
    body, y = list[str](), TOP
    for result in run.results:
        found = [(row, result.of(row)) for row in result.measure.rows if row.must is not None]
        rows = [(row, series) for row, series in found if isinstance(series, Series)]
        if rows:
            body.append(_text(0, y + 14, result.measure.title.replace("`", ""), "group"))
            y += LINE
        for row, series in rows:
            body.extend(_row(row, series, y))
            y += LINE
        y += 6 if rows else 0
    must = _at(1.0)
    head = [
        _text(0, 18, "Understudy against what it must reach", "title"),
        _text(0, 38, f"{run.date}, {run.machine}", "small"),
        _text(must, 52, "what it must reach", "small", "middle"),
        f'<line class="must" x1="{must:.1f}" x2="{must:.1f}" y1="{TOP}" y2="{y}"/>',
    ]
    size = f'width="{WIDTH}" height="{y + 10}" viewBox="-10 -4 {WIDTH} {y + 14}"'
    inside = "\n".join([f"<style>{_STYLE}</style>", *body, *head])
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n{inside}\n</svg>\n'


def _row(row: Row, series: Series, y: int) -> Iterator[str]:
    kind = "good" if row.reaches(series) else "bad"
    low, high = sorted(share(row, value) for value in series.middle_half)
    yield _text(12, y + 14, row.title.replace("`", ""))
    yield f'<rect class="track" x="{LABELS}" y="{y + 4}" width="{BARS}" height="12" rx="2"/>'
    yield _bar(kind, y, share(row, series.median))
    yield from (
        f'<circle class="round" cx="{_at(share(row, value)):.1f}" cy="{y + 10}" r="1.5"/>' for value in series.rounds
    )
    yield f'<line class="spread" x1="{_at(low):.1f}" x2="{_at(high):.1f}" y1="{y + 10}" y2="{y + 10}"/>'
    if row.aim is not None:
        aim = _at(share(row, row.aim))
        yield f'<line class="aim" x1="{aim:.1f}" x2="{aim:.1f}" y1="{y + 2}" y2="{y + 18}"/>'
    yield _text(LABELS + BARS + 12, y + 14, shown(series.median, row.unit))
    yield _text(LABELS + BARS + 90, y + 14, asked(row), "small")


def _bar(kind: str, y: int, part: float) -> str:
    return f'<rect class="{kind}" x="{LABELS}" y="{y + 4}" width="{_at(part) - LABELS:.1f}" height="12" rx="2"/>'


def _at(part: float) -> float:
    """Return where a multiple of what is allowed is drawn."""
    return LABELS + min(part, MOST) / MOST * BARS


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'
