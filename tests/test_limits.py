"""Tests of the rate windows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from understudy.contract.model import Rate
from understudy.limits import RateWindows

# Quarters of a second are exact as floats.
moments = st.lists(st.integers(0, 60)).map(lambda quarters: [quarter / 4 for quarter in sorted(quarters)])
rates = st.builds(Rate, st.just(frozenset({"create"})), st.integers(1, 5), st.integers(1, 20).map(lambda n: n / 4))


@given(st.lists(rates, min_size=1, max_size=3), moments)
def test_no_window_holds_more_than_is_allowed(rules: list[Rate], times: list[float]) -> None:
    """Whenever requests come, no window of any rule holds more than it allows, and one that has room admits."""
    windows = RateWindows(rules)
    admitted: list[float] = []
    for now in times:
        full = any(sum(now - rule.per_seconds < before for before in admitted) >= rule.most for rule in rules)
        wait = windows.admit("create", now)
        assert (wait is not None) == full
        if wait is None:
            admitted.append(now)
    for rule in rules:
        for first in admitted:
            assert sum(first <= now < first + rule.per_seconds for now in admitted) <= rule.most


@given(rates, moments)
def test_who_waits_as_told_is_admitted(rule: Rate, times: list[float]) -> None:
    """A refused request says after how long the next is admitted; it was not counted, so that is enough."""
    windows, late = RateWindows([rule]), 0.0
    for now in times:
        late = max(late, now)
        wait = windows.admit("create", late)
        if wait is not None:
            late += wait
            assert 0 < wait <= rule.per_seconds
            assert windows.admit("create", late) is None


def test_only_the_named_operations_are_limited() -> None:
    """A request to an operation that no rule names is admitted and takes nobody's place."""
    windows = RateWindows([Rate(frozenset({"create"}), 1, 10)])
    assert [windows.admit("status", 0) for _ in range(3)] == [None, None, None]
    assert windows.admit("create", 0) is None
    assert windows.admit("create", 4) == 6
