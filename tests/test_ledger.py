"""Tests of the money."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from understudy import ledger as module
from understudy.ledger import Ledger, Movement

amounts = st.decimals(0, 1000, places=3).map(float)


def exact(amount: float) -> Decimal:
    return Decimal(str(amount))


@given(amounts, st.lists(st.tuples(amounts, st.booleans(), st.sampled_from([0.1, 0.25, 0.5, 1.0]))))
def test_the_sums_agree(start: float, movements: list[tuple[float, bool, float]]) -> None:
    """Whatever moves, the balance is the start less what was charged plus what came back, exactly."""
    ledger = Ledger(start)
    for cost, comes_back, share in movements:
        ledger.charge("job", cost, 0)
        if comes_back:
            left = ledger.refund("job", cost, 0, share=share)
            assert exact(left) == exact(cost) - exact(cost) * exact(share)
        assert exact(ledger.balance) == exact(start) - exact(ledger.charged) + exact(ledger.refunded)
        assert exact(ledger.spent) == exact(ledger.charged) - exact(ledger.refunded)
        assert ledger.entries[-1].balance == ledger.balance
    assert sum((exact(entry.amount) for entry in ledger.entries), Decimal(0)) == exact(ledger.spent)


def test_sums_are_decimal() -> None:
    """Three times ten cents are thirty cents, not 0.30000000000000004."""
    ledger = Ledger(0.3)
    for _ in range(3):
        assert ledger.covers(0.1)
        ledger.charge("job", 0.1, 0)
    assert (ledger.charged, ledger.balance) == (0.3, 0)
    assert not ledger.covers(0.1)
    assert ledger.refund("job", 0.7, 0, share=0.1) == 0.63


def test_whole_amounts_are_whole_numbers() -> None:
    """A balance without a fraction is written without one."""
    ledger = Ledger(18.0)
    ledger.charge("job", 0.5, 0)
    ledger.charge("job", 0.5, 0)
    assert repr(ledger.balance) == "17"


def test_covering_counts_every_job() -> None:
    """There is enough for two jobs of five in ten and not for three; nothing costs nothing even of a debt."""
    ledger = Ledger(10)
    assert ledger.covers(5, 2)
    assert not ledger.covers(5, 3)
    ledger.balance = -1
    assert ledger.covers(0, 100)
    assert not ledger.covers(0.01)


def test_movements_are_listed() -> None:
    """Each charge and refund is an entry with its time, its job, its amount and what was left."""
    ledger = Ledger(10)
    ledger.charge("a", 4, 1.5)
    ledger.refund("a", 4, 2.5)
    assert list(ledger.entries) == [Movement(1.5, "a", 4, 6), Movement(2.5, "a", -4, 10)]


def test_movements_are_bounded_and_the_sums_are_not(monkeypatch) -> None:
    """Old movements are forgotten, and still counted."""
    monkeypatch.setattr(module, "MAX_ENTRIES", 3)
    ledger = Ledger(10)
    for _ in range(5):
        ledger.charge("job", 1, 0)
    assert (len(ledger.entries), ledger.charged) == (3, 5)
