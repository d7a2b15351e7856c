"""A fake provider in this process: what a test holds in its hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from understudy.callback import Delivery
from understudy.clock import Clock, VirtualClock
from understudy.contract.catalogue import Transport
from understudy.contract.model import Contract
from understudy.contract.operations import Security
from understudy.folders import find_provider
from understudy.journal import Journal
from understudy.ledger import Ledger
from understudy.library import load_provider
from understudy.lifecycle import Job, State, Step
from understudy.provider import Provider
from understudy.reach import NOT_SENT, refusal, tls
from understudy.wire import Outcome, Request

if TYPE_CHECKING:
    import httpx

    from understudy.transport import FakeTransport

#: The key that the clients of a fake send unless told otherwise.
API_KEY = "understudy-key"


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

    Raises:
        UsageError: There is no such provider, scenario or transport.
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
        paths: Iterable[Path] = (),
        allow_callbacks: Iterable[str] = (),
    ) -> None:
        contract, behaviour = load_provider(find_provider(provider, paths))
        self.clock: Clock = clock if clock is not None else VirtualClock()
        self._allowed = frozenset(host.lower() for host in allow_callbacks)
        self._sender: httpx.Client | None = None
        self._balance = balance
        self._provider = Provider(
            contract,
            behaviour,
            clock=self.clock,
            seed=seed,
            scenario=scenario,
            errors=errors,
            balance=balance,
            send=self._send,
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
        """Return a transport for httpx clients, sync and async."""
        from understudy.transport import FakeTransport

        hosts = self.hosts
        latency = self._provider.behaviour.latency_seconds
        return FakeTransport(lambda host: self.handle if host in hosts else None, hosts, self.clock, latency)

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
        params = {**self._key_parameters(api_key), **options.pop("params", {})}
        return {"base_url": self.base_url, "headers": headers, "params": params, "timeout": None, **options}

    def key_headers(self, api_key: str) -> dict[str, str]:
        """Return the headers that carry a key."""
        found = next((one for one in self._securities if one.place == "header"), None)
        return {} if found is None else {found.name: f"{found.scheme} {api_key}".strip()}

    def _key_parameters(self, api_key: str) -> dict[str, str]:
        """Return the query parameters that carry a key where no header does."""
        found = None if self.key_headers(api_key) else next(iter(self._securities), None)
        return {} if found is None else {found.name: api_key}

    @property
    def _securities(self) -> list[Security]:
        return [entry for operation in self.contract.operations.values() for entry in operation.security]

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
        """The pipeline behind the fake."""
        return self._provider

    @property
    def journal(self) -> Journal:
        """Requests, transitions and deliveries, in order."""
        return self._provider.journal

    @property
    def jobs(self) -> dict[str, Job]:
        """The jobs by id, oldest first."""
        return {job_id: play.job for job_id, play in self._provider.plays.items()}

    @property
    def ledger(self) -> Ledger:
        """The money of the account that `client()` uses."""
        return self.ledger_of(API_KEY if self._securities else "")

    def ledger_of(self, api_key: str) -> Ledger:
        """Return the money of the account of a key."""
        return self._provider.accounts.of_key(api_key).ledger

    # --- callbacks ---

    def _send(self, delivery: Delivery, done: Callable[[int | None, str], None]) -> None:
        """Send a callback over a real socket, to an address that may be called."""
        reason = refusal(delivery.url, self._allowed)
        if reason is not None:
            done(None, f"{NOT_SENT}: {reason}")
            return
        import httpx

        if self._sender is None:
            self._sender = httpx.Client(trust_env=False, verify=tls())
        try:
            reply = self._sender.post(
                delivery.url,
                headers=[(name.encode(), value.encode()) for name, value in delivery.headers],
                content=delivery.body,
                timeout=delivery.timeout_seconds,
            )
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            done(None, f"no answer: {type(error).__name__}")
        else:
            done(reply.status_code, "")

    def close(self) -> None:
        """Close what the fake has opened to send callbacks."""
        if self._sender is not None:
            self._sender.close()
            self._sender = None

    def __enter__(self) -> Fake:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
