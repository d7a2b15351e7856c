"""A suite that tests your client: put through what a contract allows, it is told where it would lose a job or money."""

from understudy.testing.endpoint import Callback, Endpoint
from understudy.testing.suite import ClientSuite

__all__ = ["Callback", "ClientSuite", "Endpoint"]
