"""A suite that tests your client: put through what a contract allows, it is told where it would lose a job or money."""

import understudy.strategies  # noqa: F401 # which says what to install where Hypothesis is missing
from understudy.testing.endpoint import Callback, Endpoint
from understudy.testing.suite import ClientSuite

__all__ = ["Callback", "ClientSuite", "Endpoint"]
