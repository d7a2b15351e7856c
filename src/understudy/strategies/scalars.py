"""Texts and numbers, as JSON Schema tells of them, and such as break a word of it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from understudy.contract.codecs import plain_number
from understudy.lifecycle import Json

Values = SearchStrategy[Json]

#: Texts that are longer than this are made of one letter, as no other would find more.
LONG = 40

_LETTERS = "abcdefghijklmnopqrstuvwxyz"

#: Texts that a person would write; they shrink to "a".
WORDS = st.text(_LETTERS, min_size=1, max_size=9)

TEXTS = WORDS | st.text(max_size=9)

# Values of each type, where a schema says no more; the first is what they shrink to.
TYPES: dict[str, Values] = {
    "string": TEXTS,
    "integer": st.integers(-5, 5),
    "number": st.floats(-5, 5).filter(lambda number: not number.is_integer()),
    "boolean": st.booleans(),
    "object": st.dictionaries(TEXTS, st.none(), max_size=2),
    "array": st.lists(st.none(), max_size=2),
    "null": st.none(),
}

# Those formats that the validator looks at; what is none of them is a remark.
FORMATS: dict[str, Values] = {
    "date": st.dates().map(str),
    "date-time": st.datetimes().map(lambda moment: f"{moment.isoformat()}Z"),
    "email": st.from_regex("[a-z]{1,9}@[a-z]{1,9}[.]example", fullmatch=True),
    "hostname": st.from_regex("[a-z]{1,9}[.]example", fullmatch=True),
    "ipv4": st.ip_addresses(v=4).map(str),
    "ipv6": st.ip_addresses(v=6).map(str),
    "time": st.times().map(lambda time: f"{time.isoformat()}Z"),
    "uuid": st.uuids().map(str),
    **dict.fromkeys(
        ("uri", "uri-reference", "iri", "iri-reference"),
        st.from_regex("https://[a-z]{1,9}[.]example/[a-z]{1,9}[.]png", fullmatch=True),
    ),
}


def is_pattern(pattern: str) -> bool:
    """Say whether Python reads a pattern; it does not know all that ECMAScript does."""
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def texts(fewest: int, most: int | None) -> Values:
    """Return texts of some length, the plain ones first."""
    if fewest > LONG or (most is not None and most < fewest):
        return st.just("a" * fewest) if most is None or most >= fewest else st.nothing()
    cap = LONG if most is None else min(most, LONG)
    found: Values = st.text(min_size=fewest, max_size=cap)
    if cap > 0:
        found = st.text(_LETTERS, min_size=max(fewest, 1), max_size=cap) | found
    if most is None or most <= LONG:
        return found
    return found | st.integers(max(fewest, most - 1), most).map(lambda size: "a" * size)  # no plainer than a short one


def _limits(says: Mapping[str, Json]) -> tuple[Any, Any, bool, bool]:
    """Return the least and the most number, and whether they are not admitted themselves."""
    lows = [(says[key], key != "minimum") for key in ("minimum", "exclusiveMinimum") if key in says]
    highs = [(says[key], key == "maximum") for key in ("maximum", "exclusiveMaximum") if key in says]
    low, above = max(lows, default=(None, False))
    high, within = min(highs, default=(None, True))
    return low, high, above, not within


def integers(says: Mapping[str, Json]) -> Values:
    """Return the whole numbers that a schema admits, or where there is a step, its multiples."""
    low, high, above, below = _limits(says)
    step = Decimal(str(says.get("multipleOf", 1)))
    least, most = (None if limit is None else Decimal(str(limit)) / step for limit in (low, high))
    first = None if least is None else math.floor(least) + 1 if above else math.ceil(least)
    last = None if most is None else math.ceil(most) - 1 if below else math.floor(most)
    if first is not None and last is not None and last < first:
        return st.nothing()
    return st.integers(first, last).map(
        lambda count: plain_number(float(count * step)) if step % 1 else int(count * step)
    )


def floats(says: Mapping[str, Json]) -> Values:
    """Return the numbers that a schema admits; multiples of a step are not among them."""
    low, high, above, below = _limits(says)
    if "multipleOf" in says or (low is not None and high is not None and (low, above) >= (high, not below)):
        return st.nothing()
    return st.floats(
        low, high, exclude_min=above, exclude_max=below, allow_nan=False, allow_infinity=False, allow_subnormal=False
    )


# Keyword → values that break it, whatever else is said.
BESIDE: dict[str, Callable[[Any], Values]] = {
    "format": lambda name: st.just(f"no {name}"),
    "minLength": lambda least: st.text(max_size=least - 1) if least else st.nothing(),
    "maxLength": lambda most: st.just("a" * (most + 1)),
    "pattern": lambda pattern: TEXTS,
    "minimum": lambda least: st.integers(max_value=math.ceil(least) - 1),
    "maximum": lambda most: st.integers(min_value=math.floor(most) + 1),
    "exclusiveMinimum": lambda limit: st.integers(max_value=math.floor(limit)),
    "exclusiveMaximum": lambda limit: st.integers(min_value=math.ceil(limit)),
    "multipleOf": lambda step: st.integers().map(lambda count: float((count + Decimal("0.5")) * Decimal(str(step)))),
}
