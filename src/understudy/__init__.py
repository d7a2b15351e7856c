"""Understudy: contract testing and a stand-in provider for asynchronous job APIs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from understudy.async_client import AsyncClient
    from understudy.client import Client
    from understudy.clock import SystemClock, VirtualClock
    from understudy.errors import (
        ClientError,
        ClockExhausted,
        ContractInvalid,
        JobCancelled,
        JobEnded,
        JobExpired,
        JobFailed,
        OutcomeUnknown,
        ProviderError,
        Refused,
        SignatureInvalid,
        UnderstudyError,
        UnreadableReply,
        UsageError,
        WaitTimeout,
    )
    from understudy.fake import Fake
    from understudy.inbox import Inbox
    from understudy.lifecycle import Job, JobError, Output, State, Step
    from understudy.receiver import Receiver
    from understudy.server import serve

__version__ = "0.1.0"

__all__ = [
    "AsyncClient",
    "Client",
    "ClientError",
    "ClockExhausted",
    "ContractInvalid",
    "Fake",
    "Inbox",
    "Job",
    "JobCancelled",
    "JobEnded",
    "JobError",
    "JobExpired",
    "JobFailed",
    "OutcomeUnknown",
    "Output",
    "ProviderError",
    "Receiver",
    "Refused",
    "SignatureInvalid",
    "State",
    "Step",
    "SystemClock",
    "UnderstudyError",
    "UnreadableReply",
    "UsageError",
    "VirtualClock",
    "WaitTimeout",
    "serve",
]

# Where each name lives: a name is imported when it is first used, so that `import understudy` costs next to nothing.
_HOMES = {
    "async_client": ("AsyncClient",),
    "client": ("Client",),
    "clock": ("SystemClock", "VirtualClock"),
    "fake": ("Fake",),
    "inbox": ("Inbox",),
    "lifecycle": ("Job", "JobError", "Output", "State", "Step"),
    "receiver": ("Receiver",),
    "server": ("serve",),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'understudy' has no attribute {name!r}")
    import importlib

    home = next((module for module, names in _HOMES.items() if name in names), "errors")
    value = getattr(importlib.import_module(f"understudy.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
