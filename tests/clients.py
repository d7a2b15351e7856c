"""Both clients behind one face, and what tests have to say to each of the three providers."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import httpx
import pytest

from understudy import AsyncClient, Client, Fake, Job, VirtualClock
from understudy.clock import Clock
from understudy.contract.model import Contract
from understudy.fake import API_KEY

Node = dict[str, Any]


class Driver:
    """A client, sync or async, whose methods are called as those of the sync one.

    Args:
        kind: `Client` or `AsyncClient`.
        provider: The provider's name, or its contract.
        transport: What answers.
        clock: By which it waits.
        **options: Further arguments of the client.
    """

    def __init__(self, kind: Any, provider: str | Contract, transport: Any, clock: Clock, **options: Any) -> None:
        http = httpx.Client if kind is Client else httpx.AsyncClient
        options = {"api_key": API_KEY, **options}
        self.client: Any = kind(provider, http=http(transport=transport), clock=clock, **options)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.client, name)

        def call(*args: Any, **options: Any) -> Any:
            result = method(*args, **options)
            return asyncio.run(result) if inspect.iscoroutine(result) else result

        return call

    def listen(self, act: Callable[[], object], *, job: Job | None = None, count: int = 1) -> list[Job]:
        """Subscribe to the events, act, and return the first `count` jobs that are told of then."""
        if isinstance(self.client, Client):
            with self.client.events(job) as told:
                act()
                return list(islice(told, count))

        async def listening() -> list[Job]:
            found: list[Job] = []
            async with self.client.events(job) as told:
                act()
                async for one in told:
                    found.append(one)
                    if len(found) == count:
                        break
            return found

        return asyncio.run(listening())


@dataclass(frozen=True)
class Case:
    """What a test has to say to one provider.

    Attributes:
        model: A model.
        input: An input that it takes.
        cost: What that costs, in the contract's unit.
        seconds: How long the usual timeline lasts.
        failure: A failure, and the code and the text that it is told by.
    """

    model: str
    input: Node
    cost: float
    seconds: float
    failure: tuple[str, str | None, str]

    @property
    def job(self) -> Node:
        """The arguments of `submit` and `run`."""
        return {"input": self.input, "model": self.model}


CASES = {
    "kie": Case(
        "nano-banana-pro",
        {"prompt": "a lighthouse"},
        18,
        15,
        ("content-policy", "422", "Invalid prompt: prompt contains prohibited content"),
    ),
    "shortapi": Case(
        "google/nano-banana-2/text-to-image",
        {"prompt": "a lighthouse", "aspect_ratio": "1:1"},
        0.04,
        15,
        ("content-policy", None, "The prompt was rejected by the content policy"),
    ),
    "oxen": Case(
        "nano-banana",
        {"prompt": "a lighthouse"},
        0.05,
        12,
        ("content-policy", None, "DataInspectionFailed - Green net check failed"),
    ),
}


def pair(kind: Any, provider: str, **options: Any) -> tuple[Driver, Fake]:
    """Return a client and the fake that it talks to; the options are those of the fake."""
    fake = Fake(provider, **options)
    paths = {"paths": options["paths"]} if "paths" in options else {}
    return Driver(kind, provider, fake.transport(), fake.clock, **paths), fake


@pytest.fixture(params=[Client, AsyncClient], ids=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> Any:
    """Each of the two clients; `pair` and `scripted` make one that is driven the same way."""
    return request.param


def scripted(
    kind: Any, answer: Callable[[httpx.Request], httpx.Response], provider: str = "kie", **options: Any
) -> Driver:
    """Return a client whose requests a function answers, on a clock of its own."""
    return Driver(kind, provider, httpx.MockTransport(answer), VirtualClock(), **options)


def each_provider(test: Any) -> Any:
    """Let a test run for each provider, with what there is to say to it."""
    return pytest.mark.parametrize(("provider", "case"), CASES.items(), ids=list(CASES))(test)
