"""The reference client for sync code: it does what the flows say."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import httpx
import httpx_sse

from understudy.clock import Clock
from understudy.contract.model import Contract
from understudy.exchange import REQUEST_TIMEOUT_SECONDS, Answer, Command, NoAnswer, Send, Sleep
from understudy.folders import Paths
from understudy.lifecycle import Job, Json, Output
from understudy.listening import Listening
from understudy.shell import HTTP_ERRORS, ClientBase, Watched, add, arguments, no_answer, one

if TYPE_CHECKING:
    from understudy.inbox import Inbox

T = TypeVar("T")


class Client(ClientBase):
    """A careful client of any provider that has a contract.

    It never repeats a create whose outcome is unknown, every wait has a deadline, and its errors say whether a job may
    exist.

    Args:
        provider: The provider's name, a path to its contract, or the contract.
        api_key: The key.
        base_url: Where the provider is, instead of its own servers; such as `http://127.0.0.1:4010/<provider>`.
        http: An httpx client to send with; a new one by default.
        parameters: What path, query, headers and members of a body have in every request that has them, by name; such
            as the project of an account.
        clock: By which it waits; the machine's by default. With a fake in this process, the fake's.
        paths: Folders with `contracts/` to look in before the working directory.

    Raises:
        UsageError: There is no such provider or parameter, or no header can carry the key.
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
        parameters: Mapping[str, Json] | None = None,
        clock: Clock | None = None,
        paths: Paths = (),
    ) -> None:
        super().__init__(provider, api_key=api_key, base_url=base_url, parameters=parameters, clock=clock, paths=paths)
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

    def result(self, job: Job) -> Job:
        """Ask once for what came of a job, at a provider that has an operation for it; `wait` does so by itself.

        Args:
            job: The job.

        Returns:
            The job, with its result, or with why it has none.

        Raises:
            UsageError: The provider's status tells it; there is no operation for it.
            ProviderError: The provider answered an error, or nothing.
            UnreadableReply: Its answer is not what the contract says.
        """
        return self._drive(self._flows.result(job))

    def status(self, job: Job) -> Job:
        """Ask once how a job is.

        Args:
            job: The job.

        Raises:
            ProviderError: The provider answered an error, or nothing.
            UnreadableReply: Its answer is not what the contract says.
        """
        return self._drive(self._flows.status(job))

    def wait(self, job: Job, *, timeout_seconds: float | None = None, inbox: Inbox | None = None) -> Job:
        """Poll a job at the provider's documented pace until it ends.

        Args:
            job: The job.
            timeout_seconds: The deadline; the contract's, or 600, by default.
            inbox: Where the provider's callbacks come in. When one tells that the job has ended, the provider is asked
                at once, and its answer counts; without one, it is asked only after a minute.

        Returns:
            The job, succeeded.

        Raises:
            JobFailed: It failed.
            JobCancelled: It was cancelled.
            JobExpired: It is no longer kept.
            WaitTimeout: The deadline passed.
            ProviderError: The provider answered an error that does not pass.
        """
        return self._drive(self._wait(self._waiting(job, timeout_seconds, inbox)))

    def follow(self, job: Job, *, timeout_seconds: float | None = None) -> Job:
        """Wait for the end of a job by the provider's stream of events, and where there is none, or it fails, by polls.

        Args:
            job: The job.
            timeout_seconds: The deadline of both together; as that of `wait`.

        Returns:
            The job, succeeded; it raises what `wait` raises.

        Example:
            >>> import understudy
            >>> fake = understudy.Fake("oxen")
            >>> client = understudy.Client("oxen", api_key="key", http=fake.client(), clock=fake.clock)
            >>> job = client.submit({"prompt": "a lighthouse"}, model="google-nano-banana-pro")
            >>> client.follow(job).state
            <State.SUCCEEDED: 'succeeded'>
            >>> [exchange.operation for exchange in fake.journal.exchanges]
            ['enqueue', 'events', 'getGeneration']
        """
        waiting = self._waiting(job, timeout_seconds)
        if self._can_follow(job):
            with Listening(waiting, self._clock) as ear, self._opened(job, ear.patience) as response:
                response.stream = Watched(response.stream, ear.look)
                self._drive(self._look(waiting))  # the job may have ended before, and there is no replay
                jobs = self._told(response, job)
                while not waiting.job.terminal:
                    ear.hear(next(jobs, None))
        return self._drive(self._wait(waiting))

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

    def delete(self, job: Job) -> None:
        """Ask for a job to be removed, after which the provider does not know it.

        Args:
            job: The job; some providers stop one that is active instead.

        Raises:
            UsageError: The provider cannot delete.
            ProviderError: It refused, or answered an error.
        """
        self._drive(self._flows.delete(job))

    def jobs(self) -> Iterator[Job]:
        """Go through all jobs that the provider lists, page by page, each once.

        Yields:
            Each job, as far as the list tells of it, in the provider's order.

        Raises:
            UsageError: The provider has no list of jobs.
            ProviderError: It answered an error, or nothing.
            UnreadableReply: Its answer is not what the contract says, or its pages lead in a circle.
        """
        walk = self._flows.walk()
        while walk.next is not None:
            yield from self._drive(self._flows.page(walk))

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
        with self._opened(job) as response:
            yield self._told(response, job)

    @contextmanager
    def _opened(self, job: Job | None, patience: float = REQUEST_TIMEOUT_SECONDS) -> Iterator[httpx.Response]:
        send = self._flows.subscription(job, patience)
        with ExitStack() as stack:
            with self._or_lost():
                response = stack.enter_context(self._http.stream(**arguments(send), follow_redirects=False))
                if not response.is_success:
                    raise self._flows.unsubscribed(self._read(response, send, self._clock.now()))
            yield response

    def _told(self, response: httpx.Response, job: Job | None) -> Iterator[Job]:
        with self._or_lost():
            for event in httpx_sse.EventSource(response).iter_sse():
                told = self._flows.told(event.event, event.data, job)
                if told is not None:
                    yield told

    def read_callback(
        self, headers: Mapping[str, str], body: bytes, *, secret: str | None = None, jwks: Json | bytes = None
    ) -> Job:
        """Read a callback that the provider has sent.

        Args:
            headers: The headers of the callback, in any case.
            body: Its body, as it came.
            secret: The key that the provider and you share; None where callbacks are not signed.
            jwks: The provider's public keys, as a JWK Set, a JWK, or the bytes of a key. Without them, and without a
                secret, the client asks a provider that publishes its keys, and once more when none of them fits.

        Returns:
            The job, as far as the callback tells.

        Raises:
            SignatureInvalid: It was not signed with the secret or one of the keys, or too long ago.
            UnreadableReply: It is nothing that this provider sends.
            ProviderError: The keys could not be fetched.
            UsageError: The provider does not sign so, or what was passed is no key.
        """
        return self._drive(self._read_callback(headers, body, secret, jwks))

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
        began = self._clock.now()
        try:
            request = self._request(self._http, command)
            with closing(self._http.send(request, stream=True, follow_redirects=False)) as response:
                return self._read(response, command, began)
        except HTTP_ERRORS as error:
            raise no_answer(error) from error

    def _read(self, response: httpx.Response, send: Send, began: float) -> Answer:
        body = bytearray()
        for chunk in response.iter_bytes():
            add(body, chunk, send, self._clock.now() - began)
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
