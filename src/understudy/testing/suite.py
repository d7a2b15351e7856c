"""The suite: a class to subclass, whose tests are the properties that must hold of any client of a job API."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from understudy import strategies
from understudy.errors import UsageError
from understudy.lifecycle import State
from understudy.markers import SCORE, paths
from understudy.testing.bench import Bench
from understudy.testing.properties import PROPERTIES, Property
from understudy.testing.run import Run, Situation
from understudy.testing.situations import USUAL
from understudy.testing.verdict import Verdict, text_of
from understudy.virtual_time import our_functions

if TYPE_CHECKING:
    from understudy.testing.endpoint import Callback, Endpoint

# The first that Hypothesis draws is the plainest.
_PLAINEST = settings(database=None, max_examples=1, phases=[Phase.generate])

# How many requests are drawn where a property is to hold of many.
_EXAMPLES = 15

# How many runs there are at most, with those that look for a plainer request that fails.
_MOST_RUNS = 60


class ClientSuite:
    """Tests that any client of a job API should pass: subclass it, and say how to call yours.

    Each run is on a live server of its own account, on a virtual clock: what your client sleeps takes no time, however
    it is written: sync or async, with httpx, requests, aiohttp or anything that can call a URL.

    Attributes:
        provider: The provider's name.
        models: The models that your client can ask for; None for all.
        deadline_seconds: After how long a client that has not come to an end counts as one that never will.

    Example:
        >>> import understudy
        >>> from understudy.testing import ClientSuite
        >>> class TestMyClient(ClientSuite):
        ...     provider = "kie"
        ...
        ...     def generate(self, endpoint, request):
        ...         client = understudy.Client("kie", api_key=endpoint.api_key, base_url=endpoint.base_url)
        ...         return [output.url for output in client.run(**request).outputs]
    """

    provider: ClassVar[str]
    models: ClassVar[Sequence[str] | None] = None
    deadline_seconds: ClassVar[float] = 3600.0

    _bench: ClassVar[Bench]
    _runs: ClassVar[dict[str, Run]]
    _asked: ClassVar[list[SearchStrategy[dict[str, Any]]]]

    def generate(self, endpoint: Endpoint, request: dict[str, Any]) -> Any:
        """Have your client make what a request asks for; to be overridden, as a coroutine function if it is async.

        Args:
            endpoint: Where the provider is, and the key.
            request: The `model`, where the provider has several, and the `input`.

        Returns:
            The links to what was made, or the files as bytes: one, or a list of them.

        Raises:
            Exception: Whatever your client raises when it could not be made.
        """
        raise NotImplementedError

    def receive(self, callback: Callback) -> Any:
        """Give a callback to your client; to be overridden where it takes callbacks.

        Args:
            callback: The headers and the body.

        Returns:
            False, or an HTTP status of 400 or more, where your client refuses it; anything else where it took it.

        Raises:
            Exception: Whatever your client raises; the provider would see HTTP 500, and send it again.
        """
        raise NotImplementedError

    def requests(self) -> SearchStrategy[dict[str, Any]]:
        """Return what your client may be asked for: whatever the contract allows, by default."""
        contract = self._bench.contract
        if isinstance(self.models, str):
            raise UsageError(f'models has to be a list of names: models = ["{self.models}"]')
        if self.models is None:
            return strategies.requests(contract)
        return st.one_of([strategies.requests(contract, model) for model in self.models])

    # --- how it is judged ---

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _understudy_bench(cls, request: pytest.FixtureRequest) -> Iterator[None]:
        if not hasattr(cls, "provider"):
            raise UsageError(f'{cls.__name__} has to name its provider: provider = "…"')
        with Bench(cls.provider, paths(request.config)) as bench:
            cls._begin(bench)
            yield

    @classmethod
    def _begin(cls, bench: Bench) -> None:
        """Have the client run on a bench from now on."""
        cls._bench = bench
        cls._runs = {}  # by situation: what was seen once is not looked at again for another property
        cls._asked = []  # the strategy of requests, once it is known: to make one takes its time

    @classmethod
    def _takes_callbacks(cls) -> bool:
        return cls.receive is not ClientSuite.receive

    def _judge(self, prop: Property) -> Verdict:
        """Return what is to be said of the client in respect of a property."""
        if type(self).generate is ClientSuite.generate:
            raise UsageError(f"{type(self).__name__} has to say how to call your client: override generate()")
        with our_functions:
            reason = self._why_not(prop)
            if reason is not None:
                return Verdict(prop, reason=reason)
            for situation in prop.situations(self._bench.contract):
                run = self._seen(situation)
                wrong = prop.judge(run)
                if wrong is not None:
                    return Verdict(prop, wrong=wrong, run=run)
            return self._drawn(prop) if prop.draws else Verdict(prop)

    def _why_not(self, prop: Property) -> str | None:
        """Say why a property means nothing here, or return None."""
        callback = self._bench.contract.job_type.callback
        if prop.of != "all" and not self._takes_callbacks():
            return "the client takes no callbacks: override receive() if it does"
        if prop.of != "all" and (callback is None or (prop.of == "signed" and callback.sign is None)):
            return f"{self.provider} {'sends' if callback is None else 'signs'} no callbacks"
        if next(iter(prop.situations(self._bench.contract)), None) is None:
            return f"nothing of the kind happens at {self.provider}"
        usual = self._seen(USUAL)
        if prop.raises and usual.error is not None and not usual.endless:
            return "the client raises even when all goes as usual"
        if not usual.creates and not prop.draws:
            return "the client makes no job even when all goes as usual"
        return None

    def _seen(self, situation: Situation) -> Run:
        """Return what a client does in a situation, asked for the plainest thing; each is tried once."""
        if situation.text not in self._runs:
            request = find(self._strategy(), lambda _: True, settings=_PLAINEST)
            self._runs[situation.text] = self._run(situation, request)
        return self._runs[situation.text]

    def _strategy(self) -> SearchStrategy[dict[str, Any]]:
        if not self._asked:
            self._asked.append(self.requests())
        return self._asked[0]

    def _run(self, situation: Situation, request: dict[str, Any]) -> Run:
        receive = self.receive if self._takes_callbacks() else None
        return self._bench.run(self.generate, receive, situation, request, ceiling_seconds=self.deadline_seconds)

    def _drawn(self, prop: Property) -> Verdict:
        """Try many requests, each on a job that goes its own way; return the verdict on the plainest that fails."""
        seen: dict[str, Verdict] = {}
        plainest = [Verdict(prop)]

        @settings(
            max_examples=_EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        @given(self._strategy(), strategies.timelines(self._bench.contract))
        def tried(request: dict[str, Any], timeline: tuple[Any, ...]) -> None:
            job = {"timeline": timeline} if timeline[-1].state is State.SUCCEEDED else {}
            one = repr((request, job))
            if one not in seen and len(seen) < _MOST_RUNS:
                run = self._run(Situation("the job goes as it likes", job=job), request)
                seen[one] = Verdict(prop, wrong=prop.judge(run), run=run)
            verdict = seen.get(one, Verdict(prop))  # beyond the bound nothing is plainer
            if verdict.wrong is not None:
                plainest.append(verdict)
                raise AssertionError

        with suppress(AssertionError):
            tried()
        return plainest[-1]


def _test_of(prop: Property) -> Callable[..., None]:
    def test(self: ClientSuite, record_property: Callable[[str, object], None]) -> None:
        verdict = self._judge(prop)
        record_property(SCORE, verdict.as_record(type(self).__name__, self.provider))
        if verdict.reason is not None:
            pytest.skip(verdict.reason)
        if verdict.wrong is not None:
            pytest.fail(text_of(verdict), pytrace=False)

    test.__name__ = test.__qualname__ = f"test_{prop.name}"
    test.__doc__ = prop.text
    return test


for _prop in PROPERTIES:
    setattr(ClientSuite, f"test_{_prop.name}", _test_of(_prop))
