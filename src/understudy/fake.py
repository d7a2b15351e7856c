"""A fake provider in this process: what a test holds in its hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from understudy.clock import Clock, VirtualClock
from understudy.contract.catalogue import Transport
from understudy.contract.model import Contract
from understudy.contract.operations import key_headers, key_parameters
from understudy.errors import UsageError, suggestion
from understudy.folders import Paths, find_provider
from understudy.journal import Journal
from understudy.ledger import Ledger
from understudy.library import load_provider
from understudy.lifecycle import Job, Json, State, Step
from understudy.post import Post
from understudy.provider import Provider
from understudy.wire import Outcome, Request

if TYPE_CHECKING:
    import httpx
    from starlette.types import ASGIApp

    from understudy.transport import FakeTransport

#: The key that the clients of a fake send unless told otherwise.
API_KEY = "understudy-key"

# How often a clock that runs by itself is looked at, in its seconds.
_LOOK_SECONDS = 0.05


class Fake:
    """A fake provider in this process, on a virtual clock.

    Args:
        provider: The provider's name, such as a folder under `contracts/`, or a path to one.
        clock: The clock; a new virtual one by default.
        seed: From which ids are minted; the same seed gives the same ids.
        scenario: The name of the story that is played; None for the usual.
        errors: How errors come: `body` (HTTP 200, the truth in the body) or `http`; None for the contract's default.
        balance: What accounts start with, in the contract's unit; None for what the behaviour file says.
        paths: Folders with `contracts/` and `fakes/` to look in before the working directory.
        allow_callbacks: Hosts that callbacks may be sent to beside loopback.
        callback_app: An ASGI application that gets every callback, whatever its address; no socket is opened.
        callback_url: The address that the account has for callbacks, where the provider sends them there.

    Raises:
        UsageError: There is no such provider, scenario or transport, or no callback goes to an address of the account.
        ContractInvalid: A file of the provider cannot be used.

    Example:
        >>> import understudy
        >>> fake = understudy.Fake("kie")
        >>> reply = fake.client().post("/api/v1/jobs/createTask", json={
        ...     "model": "nano-banana-pro", "input": {"prompt": "a lighthouse"}})
        >>> reply.json()["msg"]
        'success'
    """

    def __init__(
        self,
        provider: str,
        *,
        clock: Clock | None = None,
        seed: int = 0,
        scenario: str | None = None,
        errors: Transport | None = None,
        balance: float | None = None,
        paths: Paths = (),
        allow_callbacks: Iterable[str] = (),
        callback_app: ASGIApp | None = None,
        callback_url: str | None = None,
    ) -> None:
        contract, behaviour = load_provider(find_provider(provider, paths))
        self.clock: Clock = clock if clock is not None else VirtualClock()
        self._callback_hosts = frozenset(host.lower() for host in allow_callbacks)
        self._post = Post(self._callback_hosts, callback_app)
        self._balance = balance
        self._provider = Provider(
            contract,
            behaviour,
            clock=self.clock,
            seed=seed,
            scenario=scenario,
            errors=errors,
            balance=balance,
            callback_url=callback_url,
            send=self._post.send,
        )

    # --- ways in ---

    @property
    def base_url(self) -> str:
        """The provider's real base URL, which the transport answers for."""
        return self.contract.servers[0]

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts that the fake plays: those of the API and those of its files."""
        return self.contract.hosts

    def handle(self, request: Request) -> Outcome:
        """Answer a request as data; what the transport and the server are shells around."""
        return self._provider.handle(request)

    def transport(self) -> FakeTransport:
        """Return a transport for clients of httpx or httpx2, sync and async."""
        from understudy.transport import FakeTransport

        hosts = self.hosts
        latency = self._provider.behaviour.latency_seconds
        note = self._provider.record
        return FakeTransport(lambda host: self.handle if host in hosts else None, hosts, self.clock, latency, note)

    def mock(self) -> AbstractContextManager[None]:
        """Answer every httpx client of this process, sync and async, that asks a host of the fake, however it was made.

        Requests to this machine, and to hosts that callbacks may be sent to, go on to the network, and those that a
        mock of respx has a route for go to it. Any other is refused, as the transport refuses it.

        Returns:
            What is to be used in a `with` statement; at its end all is as it was.

        Raises:
            UsageError: The package respx is not installed.

        Example:
            >>> import httpx, understudy
            >>> fake = understudy.Fake("kie")
            >>> with fake.mock():
            ...     httpx.get("https://api.kie.ai/api/v1/chat/credit", headers=fake.key_headers("key")).json()["msg"]
            'success'
        """
        from understudy.patching import Patch

        return Patch(self.transport(), self.hosts, self._callback_hosts)

    def client(self, *, api_key: str = API_KEY, **options: Any) -> httpx.Client:
        """Return an httpx client that talks to the fake, with the provider's base URL and a key.

        Args:
            api_key: The key to send; each key is an account of its own.
            **options: Further arguments of `httpx.Client`.
        """
        import httpx

        return httpx.Client(transport=self.transport(), **self._options(api_key, options))

    def async_client(self, *, api_key: str = API_KEY, **options: Any) -> httpx.AsyncClient:
        """Return an httpx client for async code; see `client`."""
        import httpx

        return httpx.AsyncClient(transport=self.transport(), **self._options(api_key, options))

    def _options(self, api_key: str, options: dict[str, Any]) -> dict[str, Any]:
        headers = {**self.key_headers(api_key), **options.pop("headers", {})}
        params = {**key_parameters(self.contract.securities, api_key), **options.pop("params", {})}
        return {"base_url": self.base_url, "headers": headers, "params": params, "timeout": None, **options}

    def key_headers(self, api_key: str) -> dict[str, str]:
        """Return the headers that carry a key."""
        return key_headers(self.contract.securities, api_key)

    # --- what happens next ---

    def next_job(
        self,
        *,
        failure: str | None = None,
        error: str | None = None,
        timeline: Sequence[Step] | None = None,
        state: State | None = None,
        visible_after_seconds: float | None = None,
    ) -> None:
        """Say how the next job goes; several calls are for the next several jobs.

        Args:
            failure: The name of the contract's failure that it ends with.
            error: The named error that its create answers instead.
            timeline: The steps that it goes through.
            state: The state that it goes to at once, and stays in.
            visible_after_seconds: How long status reads do not find it.

        Raises:
            UsageError: The contract has no such failure or error, or no job can go through such steps.
        """
        self._provider.next_job(
            failure=failure,
            error=error,
            timeline=timeline,
            state=state,
            visible_after_seconds=visible_after_seconds,
        )

    def fault(
        self,
        fault: str,
        *,
        on: str | None = None,
        nth: int = 1,
        times: int | None = 1,
        **parameters: Json,
    ) -> None:
        """Have something go wrong.

        Args:
            fault: Its name, such as `answer-lost`; `docs/faults.md` lists them.
            on: What it strikes, such as `status`; None for what it usually does.
            nth: Which request, counted from now.
            times: How many from there on; None for all.
            **parameters: The fault's own, such as `seconds`.

        Raises:
            UsageError: There is no such fault, it does not strike there, or it has no such parameter.

        Example:
            >>> import httpx, understudy
            >>> fake = understudy.Fake("kie")
            >>> fake.fault("answer-lost")
            >>> try:
            ...     fake.client().post("/api/v1/jobs/createTask", json={
            ...         "model": "nano-banana-pro", "input": {"prompt": "a lighthouse"}})
            ... except httpx.ReadError:
            ...     len(fake.jobs)
            1
        """
        self._provider.fault(fault, on=on, nth=nth, times=times, **parameters)

    def wait_for(
        self, job_id: str, state: State | None = None, *, delivery: bool = False, timeout_seconds: float = 600.0
    ) -> Job:
        """Let time pass until a job is where a test wants it.

        Args:
            job_id: The job.
            state: The state that it is to be in; None for any that is terminal.
            delivery: Whether a callback about it is to be delivered then, too.
            timeout_seconds: For how long at most, by the fake's clock.

        Returns:
            The job.

        Raises:
            UsageError: There is no such job, or it was not so in that time.
        """
        deadline = self.clock.now() + timeout_seconds
        while not self._is_so(job_id, state, delivery=delivery):
            due, left = self.clock.next_due(), deadline - self.clock.now()
            if left <= 0 or (due is None and isinstance(self.clock, VirtualClock)):
                raise UsageError(self._not_so(job_id, state, timeout_seconds, delivery=delivery))
            step = left if due is None else max(due - self.clock.now(), 0.0)
            if isinstance(self.clock, VirtualClock):
                self.clock.sleep(min(step, left))
            else:
                self.clock.sleep(min(step, left, _LOOK_SECONDS))
                self.clock.run_due()
        return self.jobs[job_id]

    def _is_so(self, job_id: str, state: State | None, *, delivery: bool) -> bool:
        if job_id not in self._provider.plays:
            raise UsageError(f'there is no job "{job_id}"; {suggestion(job_id, self._provider.plays)}')
        job = self._provider.plays[job_id].job
        there = job.terminal if state is None else job.state == state
        attempts = self.journal.attempts if delivery else ()
        return there and (not delivery or any(one.job_id == job_id and one.delivered for one in attempts))

    def _not_so(self, job_id: str, state: State | None, seconds: float, *, delivery: bool) -> str:
        job = self.jobs[job_id]
        tried = [attempt for attempt in self.journal.attempts if attempt.job_id == job_id]
        last = f", the last: {tried[-1].note or tried[-1].status}" if tried else ""
        wanted = ("terminal" if state is None else str(state)) + (" and told of" if delivery else "")
        return (
            f"job {job_id} was not {wanted} within {seconds:g} seconds\n"
            f"  it is {job.worded}, and {len(tried)} callbacks were tried{last}"
        )

    def reset(self) -> None:
        """Forget jobs, accounts, files and journal; the time stays."""
        self._provider.reset()

    # --- what happened ---

    @property
    def contract(self) -> Contract:
        """The provider's contract."""
        return self._provider.contract

    @property
    def provider(self) -> Provider:
        """The stand-in behind the fake."""
        return self._provider

    @property
    def journal(self) -> Journal:
        """Requests, transitions and deliveries, in order."""
        return self._provider.journal

    @property
    def jobs(self) -> dict[str, Job]:
        """The jobs by id, oldest first."""
        return self._provider.jobs

    @property
    def ledger(self) -> Ledger:
        """The money of the account that `client()` uses."""
        return self.ledger_of(API_KEY if self.contract.securities else "")

    def ledger_of(self, api_key: str) -> Ledger:
        """Return the money of the account of a key."""
        return self._provider.accounts.of_key(api_key).ledger

    # --- its life ---

    def close(self) -> None:
        """Close what the fake has opened to send callbacks."""
        self._post.close()

    def __enter__(self) -> Fake:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
