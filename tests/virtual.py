"""What tests of virtual time share."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def really_under(seconds: float) -> Iterator[None]:
    """See that something takes next to no time; far more is allowed than it needs."""
    began = time.perf_counter()
    yield
    assert time.perf_counter() - began < seconds
