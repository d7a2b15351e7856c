"""Money: what an account has, what each job was charged, what came back."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from understudy.contract.codecs import CodecError, plain_number
from understudy.contract.expressions import Scope, first_value
from understudy.contract.model import Price

#: Movements that are kept; the sums count all of them.
MAX_ENTRIES = 1_000


@dataclass(slots=True)
class Movement:
    """One movement of money.

    Attributes:
        at: When, in unix seconds.
        job_id: For which job.
        amount: What the account lost (charge) or, negative, got back (refund), in the contract's unit.
        balance: What was left.
    """

    at: float
    job_id: str
    amount: float
    balance: float


class Ledger:
    """The money of one account.

    Args:
        balance: What it starts with, in the contract's unit.
    """

    def __init__(self, balance: float) -> None:
        self._balance = _exact(balance)
        self._charged = Decimal(0)
        self._refunded = Decimal(0)
        self.entries: deque[Movement] = deque(maxlen=MAX_ENTRIES)

    @property
    def balance(self) -> float:
        """What is left."""
        return _plain(self._balance)

    @balance.setter
    def balance(self, amount: float) -> None:
        self._balance = _exact(amount)

    @property
    def charged(self) -> float:
        """What was charged in all."""
        return _plain(self._charged)

    @property
    def refunded(self) -> float:
        """What came back in all."""
        return _plain(self._refunded)

    @property
    def spent(self) -> float:
        """What was charged less what came back."""
        return _plain(self._charged - self._refunded)

    def covers(self, amount: float, jobs: int = 1) -> bool:
        """Say whether there is enough for that many jobs at that price each; nothing costs nothing."""
        return _exact(amount) * jobs <= max(self._balance, _NOTHING)

    def charge(self, job_id: str, amount: float, now: float) -> None:
        """Take money for a job: a plain number of the contract's unit."""
        exact = _exact(amount)
        self._balance -= exact
        self._charged += exact
        self.entries.append(Movement(now, job_id, amount, self.balance))

    def refund(self, job_id: str, cost: float, now: float, *, share: float = 1.0) -> float:
        """Give a share of what a job cost back, and return what is left of its cost."""
        back = _exact(cost) * _exact(share)
        self._balance += back
        self._refunded += back
        self.entries.append(Movement(now, job_id, _plain(-back), self.balance))
        return _plain(_exact(cost) - back)


def cost_of(prices: Iterable[Price], scope: Scope) -> float | None:
    """Return what a job costs, or None where no price is for it.

    Args:
        prices: Of which the first that fits counts.
        scope: What conditions and places may name.
    """
    for price in prices:
        if price.when is None or price.when.holds(scope):
            break
    else:
        return None
    if not price.per:
        return plain_number(price.amount)
    try:
        number = first_value(price.per, scope)
    except CodecError:  # what came is no number
        number = None
    counts = isinstance(number, int | float) and not isinstance(number, bool) and number >= 0
    return _plain(_exact(price.amount) * _exact(number if counts else 1))


_NOTHING = Decimal(0)


@functools.lru_cache(maxsize=1024)
def _exact(amount: float) -> Decimal:
    return Decimal(str(amount))


def _plain(amount: Decimal) -> float:
    return plain_number(float(amount))
