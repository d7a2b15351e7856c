"""What tests of virtual time share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from understudy import virtual_time


@contextmanager
def really_under(seconds: float) -> Iterator[None]:
    """See that nobody is put to sleep for so long; who would be is not."""
    slept = 0.0
    real_sleep = virtual_time._REAL["sleep"]

    def sleep(seconds_more: float) -> None:
        nonlocal slept
        slept += seconds_more
        assert slept < seconds, f"{slept} seconds of real time would pass"
        real_sleep(seconds_more)

    with patch.dict(virtual_time._REAL, sleep=sleep):
        yield
