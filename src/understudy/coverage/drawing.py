"""The lifecycle of a provider's jobs as an SVG, with what was never walked marked."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from understudy.coverage.report import Covered, Item
from understudy.lifecycle import TERMINAL, State

# Where the boxes are, in pixels: a column for new jobs, one for each active state, and one for the ends.
_COLUMNS = {"new": 30, State.QUEUED: 120, State.RUNNING: 330, "end": 580}
_BOX = (120, 44)
_ROW = 84
_DOT = 9


class _Box(NamedTuple):
    """Where a state is drawn: its left edge, its middle, its width."""

    x: float
    y: float
    width: float

    @property
    def right(self) -> float:
        return self.x + self.width


def lifecycle(covered: Covered) -> str:
    """Return the drawing: a box for each state, an arrow for each transition."""
    kinds = covered.by_kind()
    items = {item.name: item for item in (*kinds.get("states", ()), *kinds.get("outcomes", ()))}
    states = [state for state in State if state in items]
    boxes = _boxes(states)
    walks = [(item, *item.name.partition(" → ")[::2]) for item in kinds.get("transitions", ())]
    arrows = [_arrow(item, boxes[one], boxes[other]) for item, one, other in walks if {one, other} <= boxes.keys()]
    width = _COLUMNS["end"] + _BOX[0] + 60
    bottom = max(box.y for box in boxes.values()) + _BOX[1] / 2
    height = max(bottom + 50, 250)
    label = escape(f"The lifecycle of {covered.provider}; dashed is what was never walked", quote=True)
    return "\n".join(
        [
            f'<svg class="lifecycle" viewBox="0 0 {width} {height:g}" role="img" aria-label="{label}">',
            *sorted(arrows),  # those that were walked are drawn last, and lie on top
            *(_box(boxes[state], items[state]) for state in states),
            f'<circle class="new" cx="{boxes["new"].x + _DOT}" cy="{boxes["new"].y:g}" r="{_DOT}"/>',
            f'<text x="{boxes["new"].x - 6}" y="{boxes["new"].y + 26:g}">new</text>',
            "</svg>",
        ]
    )


def _boxes(states: Sequence[State]) -> dict[str, _Box]:
    ends = [state for state in states if state in TERMINAL]
    middle = 40 + max(len(ends) - 1, 2) * _ROW / 2
    first = middle - (len(ends) - 1) * _ROW / 2
    boxes = {"new": _Box(_COLUMNS["new"], middle, 2 * _DOT)}
    for state in states:
        if state in TERMINAL:
            boxes[state] = _Box(_COLUMNS["end"], first + ends.index(state) * _ROW, _BOX[0])
        else:
            boxes[state] = _Box(_COLUMNS[state], middle, _BOX[0])
    return boxes


def _box(box: _Box, item: Item) -> str:
    mark = "walked" if item.times else "missed"
    times = f"{item.times:,} times" if item.times else "never"
    middle = box.x + box.width / 2
    return (
        f'<g class="state {mark}"><rect x="{box.x:g}" y="{box.y - _BOX[1] / 2:g}" width="{box.width:g}"'
        f' height="{_BOX[1]}" rx="8"/><text x="{middle:g}" y="{box.y - 2:g}">{escape(item.name)}</text>'
        f'<text class="times" x="{middle:g}" y="{box.y + 14:g}">{times}</text></g>'
    )


def _arrow(item: Item, source: _Box, target: _Box) -> str:
    mark = "walked" if item.times else "missed"
    told = f"{item.name}: {f'{item.times:,} times' if item.times else 'never walked'}"
    return (
        f'<g class="{mark}" data-transition="{escape(item.name, quote=True)}"><title>{escape(told)}</title>'
        f'<path d="{_curve(source, target)}"/><path class="head" d="{_head(source, target)}"/></g>'
    )


def _curve(source: _Box, target: _Box) -> str:
    """Return a curve that meets no other box."""
    if source.x == target.x:  # from one end to another: around the right side
        far = source.right + 50
        return _path((source.right, source.y), (far, source.y), (far, target.y), (target.right + 8, target.y))
    tip = (target.x - 8, target.y)
    if target.x - source.right <= _COLUMNS["end"] - _COLUMNS[State.RUNNING]:
        half = (source.right + target.x) / 2
        return _path((source.right, source.y), (half, source.y), (half, target.y), tip)
    # around the boxes between them: above where the target is above or level, else below
    away = -1 if target.y <= source.y else 1
    begin = (source.x + source.width / 2, source.y + away * (_DOT if source.width < _BOX[0] else _BOX[1] / 2))
    bow = source.y + away * (_BOX[1] + 26 + (target.x - source.x) / 12)
    lift = away * (70 if target.y == source.y else 30)
    return _path(begin, (begin[0] + 40, bow), (target.x - 150, target.y + lift), tip)


def _path(begin: tuple[float, float], *others: tuple[float, float]) -> str:
    first, *rest = (f"{x:g} {y:g}" for x, y in (begin, *others))
    return f"M{first} C{' '.join(rest)}"


def _head(source: _Box, target: _Box) -> str:
    x, back = (target.right, 9) if source.x == target.x else (target.x, -9)
    return f"M{x:g} {target.y:g} l{back} -5 v10 z"
