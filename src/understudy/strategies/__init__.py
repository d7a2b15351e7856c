"""Strategies for Hypothesis, for those who test code that uses an API of jobs: requests, outcomes, faults, callbacks.

They come with the extra `understudy[test]`.
"""

from __future__ import annotations

from importlib.util import find_spec

from understudy.errors import UsageError

if find_spec("hypothesis") is None:
    raise UsageError("understudy.strategies needs Hypothesis: pip install 'understudy[test]'")

from understudy.strategies.asks import InvalidRequest, invalid_requests, requests
from understudy.strategies.happenings import fault_plans, faults, outcomes, timelines
from understudy.strategies.machine import LifecycleMachine
from understudy.strategies.posted import Callback, callback_bodies, delivery_orders

__all__ = [
    "Callback",
    "InvalidRequest",
    "LifecycleMachine",
    "callback_bodies",
    "delivery_orders",
    "fault_plans",
    "faults",
    "invalid_requests",
    "outcomes",
    "requests",
    "timelines",
]
