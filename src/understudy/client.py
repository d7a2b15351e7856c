"""The reference client, sync and async: two shells of a few lines around the flows."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import httpx_sse

from understudy.clock import Clock, SystemClock
from understudy.contract.model import Contract
from understudy.errors import ProviderError, UnreadableReply, UsageError
from understudy.exchange import Answer, Command, NoAnswer, Send, Sleep
from understudy.flows import Flows
from understudy.folders import find_provider
from understudy.library import load_provider
from understudy.lifecycle import Job, Json, Output

T = TypeVar("T")

# What httpx raises before a request has left this machine.
_NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
    UnicodeError,
)

#: What httpx raises.
HTTP_ERRORS = (httpx.HTTPError, httpx.InvalidURL, UnicodeError)


class ClientBase:
    """What both clients are made of; see `Client`."""

    def __init__(
        self,
        provider: str | Contract,
        *,
        api_key: str,
        base_url: str | None = None,
        clock: Clock | None = None,
        paths: Iterable[Path] = (),
    ) -> None:
        if not (api_key.isascii() and api_key.isprintable()):
            raise UsageError("the key has a character that no header can carry, such as a line break at its end")
        contract = provider if isinstance(provider, Contract) else load_provider(find_provider(provider, paths))[0]
        self.contract = contract
        self._clock = clock if clock is not None else SystemClock()
        self._flows = Flows(contract, api_key=api_key, base_url=base_url)
        self._built: tuple[Send, httpx.Request] | None = None

    def read_callback(self, headers: Mapping[str, str], body: bytes, *, secret: str | None = None) -> Job:
        """Read a callback that the provider has sent.

        Args:
            headers: The headers of the callback, in any case.
            body: Its body, as it came.
            secret: The key that the provider and you share; None where callbacks are not signed.

        Returns:
            The job, as far as the callback tells.

        Raises:
            SignatureInvalid: It was not signed with the secret, or too long ago.
            UnreadableReply: It is nothing that this provider sends.
        """
        return self._flows.reader.callback(headers, body, secret=secret, now=self._clock.now())

    def _request(self, http: httpx.Client | httpx.AsyncClient, send: Send) -> httpx.Request:
        """Return the request to send: a poll is the same one again, and building it costs as much as an answer."""
        built = self._built  # what another thread puts there meanwhile must not be sent for this one
        if built is None or built[0] != send:
            built = self._built = send, http.build_request(**arguments(send))
        return built[1]

    def _submit(
        self,
        input: Mapping[str, Json],
        model: str | None,
        callback_url: str | None,
        operation: str | None,
        count: int | None,
        timeout_seconds: float | None,
    ) -> Generator[Command, Any, list[Job]]:
        limit = self._flows.default_timeout_seconds if timeout_seconds is None else timeout_seconds
        return self._flows.submit(
            input,
            model=model,
            callback_url=callback_url,
            operation=operation,
            count=count,
            timeout_seconds=limit,
            now=self._clock.now,
        )

    def _wait(self, job: Job, timeout_seconds: float | None) -> Generator[Command, Any, Job]:
        return self._flows.wait(job, timeout_seconds=timeout_seconds, now=self._clock.now)

    def _answer(self, response: httpx.Response, body: bytearray) -> Answer:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers.raw}
        return Answer(response.status_code, headers, bytes(body), self._clock.now())


def one(jobs: list[Job]) -> Job:
    if len(jobs) != 1:
        raise UsageError(f"the request made {len(jobs)} jobs: call submit_many")
    return jobs[0]


def no_answer(error: Exception) -> NoAnswer:
    return NoAnswer(f"{type(error).__name__}: {error}", sent=not isinstance(error, _NOT_SENT))


@contextmanager
def or_lost() -> Iterator[None]:
    """Turn what a stream of events breaks with into errors of ours."""
    try:
        yield
    except (*HTTP_ERRORS, NoAnswer) as error:
        kind = UnreadableReply if isinstance(error, httpx_sse.SSEError) else ProviderError
        raise kind(f"the stream of events was lost: {error}") from None


def add(body: bytearray, chunk: bytes, most_bytes: int) -> None:
    body += chunk
    if len(body) > most_bytes:
        raise NoAnswer(f"it is longer than {most_bytes:,} bytes", sent=True)


class Client(ClientBase):
    """A careful client of any provider that has a contract.

    It never repeats a create whose outcome is unknown, every wait has a deadline, and its errors say whether a job may
    exist.

    Args:
        provider: The provider's name, a path to its contract, or the contract.
        api_key: The key.
        base_url: Where the provider is, instead of its own servers; such as `http://127.0.0.1:4010/<provider>`.
        http: An httpx client to send with; a new one by default.
        clock: By which it waits; the machine's by default. With a fake in this process, the fake's.
        paths: Folders with `contracts/` to look in before the working directory.

    Raises:
        UsageError: There is no such provider, or no header can carry the key.
        ContractInvalid: Its contract cannot be used.

    Example:
        >>> import understudy
        >>> fake = understudy.Fake("kie")
        >>> client = understudy.Client("kie", api_key="key", http=fake.client(), clock=fake.clock)
        >>> job = client.run({"prompt": "a lighthouse"}, model="nano-banana-pro")
        >>> job.state, len(job.outputs)
        (<State.SUCCEEDED: 'succeeded'>, 1)
    """

    def __init__(
        self,
        provider: str | Contract,
        *,
        api_key: str,
        base_url: str | None = None,
        http: httpx.Client | None = None,
        clock: Clock | None = None,
        paths: Iterable[Path] = (),
    ) -> None:
        super().__init__(provider, api_key=api_key, base_url=base_url, clock=clock, paths=paths)
        self._own = http is None
        self._http = http if http is not None else httpx.Client()

    def submit(
        self,
        input: Mapping[str, Json],
        *,
        model: str | None = None,
        callback_url: str | None = None,
        operation: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Job:
        """Make one job.

        Args:
            input: The input, as the provider's model takes it.
            model: The model.
            callback_url: Where the provider is to report to.
            operation: The operationId of the create, where the provider has several.
            timeout_seconds: For how long a create that is refused for now is repeated, and how long one that blocks
                may take; the contract's deadline by default.

        Returns:
            The job; a create that blocks returns it ended.

        Raises:
            Refused: There is no job, for certain.
            OutcomeUnknown: There may be one.
        """
        return one(self._drive(self._submit(input, model, callback_url, operation, None, timeout_seconds)))

    def submit_many(
        self,
        input: Mapping[str, Json],
        *,
        count: int,
        model: str | None = None,
        callback_url: str | None = None,
        operation: str | None = None,
        timeout_seconds: float | None = None,
    ) -> list[Job]:
        """Make several jobs with one request, where the provider can; see `submit`."""
        return self._drive(self._submit(input, model, callback_url, operation, count, timeout_seconds))

    def status(self, job: Job) -> Job:
        """Ask once how a job is.

        Args:
            job: The job.

        Raises:
            ProviderError: The provider answered an error, or nothing.
            UnreadableReply: Its answer is not what the contract says.
        """
        return self._drive(self._flows.status(job))

    def wait(self, job: Job, *, timeout_seconds: float | None = None) -> Job:
        """Poll a job at the provider's documented pace until it ends.

        Args:
            job: The job.
            timeout_seconds: The deadline; the contract's, or 600, by default.

        Returns:
            The job, succeeded.

        Raises:
            JobFailed: It failed.
            JobCancelled: It was cancelled.
            JobExpired: It is no longer kept.
            WaitTimeout: The deadline passed.
            ProviderError: The provider answered an error that does not pass.
        """
        return self._drive(self._wait(job, timeout_seconds))

    def run(
        self,
        input: Mapping[str, Json],
        *,
        model: str | None = None,
        operation: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Job:
        """Make one job and wait until it ends; see `submit` and `wait`."""
        job = self.submit(input, model=model, operation=operation, timeout_seconds=timeout_seconds)
        return self.wait(job, timeout_seconds=timeout_seconds)

    def cancel(self, job: Job) -> Job:
        """Ask for a job to be stopped, and return it as it is then.

        Args:
            job: The job.

        Raises:
            UsageError: The provider cannot cancel.
            ProviderError: It answered an error.
        """
        return self._drive(self._flows.cancel(job))

    @contextmanager
    def events(self, job: Job | None = None) -> Iterator[Iterator[Job]]:
        """Listen to the provider's stream of events; there is no replay, so listen first and submit then.

        Args:
            job: The job to listen for, where the provider streams by job.

        Yields:
            An iterator over a job for each event that tells of one; other events are passed over.

        Raises:
            UsageError: The provider has no stream of events.
            ProviderError: It did not open one, or the stream was lost, at once or while it is read.
            UnreadableReply: Its answer is no stream.

        Example:
            >>> import understudy
            >>> fake = understudy.Fake("oxen")
            >>> client = understudy.Client("oxen", api_key="key", http=fake.client(), clock=fake.clock)
            >>> with client.events() as events:
            ...     job = client.submit({"prompt": "a lighthouse"}, model="google-nano-banana-pro")
            ...     next(events).state
            <State.SUCCEEDED: 'succeeded'>
        """
        send = self._flows.subscription(job)
        with ExitStack() as stack:
            with or_lost():
                response = stack.enter_context(self._http.stream(**arguments(send), follow_redirects=False))
                if not response.is_success:
                    raise self._flows.unsubscribed(self._read(response, send))
            yield self._told(response)

    def _told(self, response: httpx.Response) -> Iterator[Job]:
        with or_lost():
            for event in httpx_sse.EventSource(response).iter_sse():
                told = self._flows.reader.event(event.event, event.data)
                if told is not None:
                    yield told

    def download(self, output: Output) -> bytes:
        """Return the bytes of a result file.

        Args:
            output: One of the outputs of a job.

        Raises:
            UsageError: It has neither a link nor content.
            UnreadableReply: It could not be fetched; links do not live for ever.
        """
        return self._drive(self._flows.download(output))

    def _drive(self, flow: Generator[Command, Any, T]) -> T:
        try:
            command = next(flow)
            while True:
                try:
                    result = self._do(command)
                except NoAnswer as error:
                    command = flow.throw(error)
                else:
                    command = flow.send(result)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    def _do(self, command: Command) -> Answer | None:
        if isinstance(command, Sleep):
            self._clock.sleep(command.seconds)
            return None
        try:
            request = self._request(self._http, command)
            with closing(self._http.send(request, stream=True, follow_redirects=False)) as response:
                return self._read(response, command)
        except HTTP_ERRORS as error:
            raise no_answer(error) from error

    def _read(self, response: httpx.Response, send: Send) -> Answer:
        body = bytearray()
        for chunk in response.iter_bytes():
            add(body, chunk, send.most_bytes)
        return self._answer(response, body)

    def close(self) -> None:
        """Close the HTTP client, if it is this client's own."""
        if self._own:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def arguments(send: Send) -> dict[str, Any]:
    return {
        "method": send.method,
        "url": send.url,
        "headers": list(send.headers),
        "content": send.body or None,
        "timeout": send.timeout_seconds,
    }
