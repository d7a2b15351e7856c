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
        self._by_operation: dict[str, list[tuple[Rate, deque[float]]]] = {}
        for rate in rates:
            window = rate, deque[float](maxlen=rate.most)
            for operation in rate.operations:
                self._by_operation.setdefault(operation, []).append(window)

    def admit(self, operation: str, now: float) -> float | None:
        """Count a request, or refuse it uncounted.

        Args:
            operation: The operationId.
            now: The time, in unix seconds.

        Returns:
            None when it is admitted, else after how many seconds the next one will be.
        """
        concerned = self._by_operation.get(operation, ())
        for rate, times in concerned:
            if len(times) == rate.most and now - times[0] < rate.per_seconds:
                return rate.per_seconds - (now - times[0])
        for _, times in concerned:
            times.append(now)
        return None
