"""A report as one page that needs nothing else: no script, no font, no picture from anywhere."""

from __future__ import annotations

from html import escape
from pathlib import Path

from understudy.coverage.drawing import lifecycle
from understudy.coverage.report import Covered, Item, Report


def page(report: Report) -> str:
    """Return the page."""
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    body = "\n".join(map(_section, report)) or "<p>Nothing was touched.</p>"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>Coverage of contracts</title>
<style>
{style}</style>
</head>
<body>
<h1>Coverage of contracts</h1>
{body}
</body>
</html>
"""


def _section(covered: Covered) -> str:
    touched = len(covered.items) - len(covered.gaps)
    kinds = "\n".join(_kind(kind, items) for kind, items in covered.by_kind().items())
    return f"""<section>
<h2>{escape(covered.provider)} <span class="percent">{covered.percent} %</span></h2>
<p>{touched} of {len(covered.items)} touched</p>
{_bar(touched, len(covered.items))}
<figure>
{lifecycle(covered)}
<figcaption><span class="key walked"></span> walked <span class="key missed"></span> never walked</figcaption>
</figure>
{kinds}
</section>"""


def _kind(kind: str, items: list[Item]) -> str:
    touched = sum(item.times > 0 for item in items)
    rows = "\n".join(_row(item) for item in sorted(items, key=lambda item: item.times > 0))
    return f"""<details{"" if touched == len(items) else " open"}>
<summary>{kind} <span>{touched} of {len(items)}</span>{_bar(touched, len(items))}</summary>
<table>
{rows}
</table>
</details>"""


def _row(item: Item) -> str:
    if item.times:
        return f'<tr class="walked"><td>{escape(item.name)}</td><td>{item.times:,} times</td></tr>'
    return f'<tr class="missed"><td>{escape(item.name)}</td><td><code>{escape(item.close)}</code></td></tr>'


def _bar(touched: int, total: int) -> str:
    return f'<div class="bar"><div style="width: {100 * touched / max(total, 1):.1f}%"></div></div>'
