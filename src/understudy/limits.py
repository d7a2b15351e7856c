"""Rate windows: how many requests an account may make in a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from understudy.contract.model import Rate


class RateWindows:
    """The sliding windows of one account.

    Args:
        rates: The contract's rules.
    """

    def __init__(self, rates: Sequence[Rate]) -> None:
        self._windows = [(rate, deque[float](maxlen=rate.most)) for rate in rates]

    def admit(self, operation: str, now: float) -> float | None:
        """Count a request, or refuse it uncounted.

        Args:
            operation: The operationId.
            now: The time, in unix seconds.

        Returns:
            None when it is admitted, else after how many seconds the next one will be.
        """
        concerned = [(rate, times) for rate, times in self._windows if operation in rate.operations]
        for rate, times in concerned:
            if len(times) == rate.most and now - times[0] < rate.per_seconds:
                return rate.per_seconds - (now - times[0])
        for _, times in concerned:
            times.append(now)
        return None
