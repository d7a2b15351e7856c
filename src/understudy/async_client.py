"""The reference client for async code."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
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


class AsyncClient(ClientBase):
    """The same for async code; every method of `Client` is a coroutine here, and `events` and `jobs` async iterators.

    Args:
        provider: The provider's name, a path to its contract, or the contract.
        api_key: The key.
        base_url: Where the provider is, instead of its own servers.
        http: An httpx.AsyncClient to send with; a new one by default.
        parameters: What path, query, headers and members of a body have in every request that has them, by name.
        clock: By which it waits; the machine's by default.
        paths: Folders with `contracts/` to look in before the working directory.
    """

    def __init__(
        self,
        provider: str | Contract,
        *,
        api_key: str,
        base_url: str | None = None,
        http: httpx.AsyncClient | None = None,
        parameters: Mapping[str, Json] | None = None,
        clock: Clock | None = None,
        paths: Paths = (),
    ) -> None:
        super().__init__(provider, api_key=api_key, base_url=base_url, parameters=parameters, clock=clock, paths=paths)
        self._own = http is None
        self._http = http if http is not None else httpx.AsyncClient()

    async def submit(
        self,
        input: Mapping[str, Json],
        *,
        model: str | None = None,
        callback_url: str | None = None,
        operation: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Job:
        """Make one job; see `Client.submit`."""
        return one(await self._drive(self._submit(input, model, callback_url, operation, None, timeout_seconds)))

    async def submit_many(
        self,
        input: Mapping[str, Json],
        *,
        count: int,
        model: str | None = None,
        callback_url: str | None = None,
        operation: str | None = None,
        timeout_seconds: float | None = None,
    ) -> list[Job]:
        """Make several jobs with one request; see `Client.submit_many`."""
        return await self._drive(self._submit(input, model, callback_url, operation, count, timeout_seconds))

    async def result(self, job: Job) -> Job:
        """Ask once for what came of a job; see `Client.result`."""
        return await self._drive(self._flows.result(job))

    async def status(self, job: Job) -> Job:
        """Ask once how a job is; see `Client.status`."""
        return await self._drive(self._flows.status(job))

    async def wait(self, job: Job, *, timeout_seconds: float | None = None, inbox: Inbox | None = None) -> Job:
        """Poll a job until it ends; see `Client.wait`."""
        return await self._drive(self._wait(self._waiting(job, timeout_seconds, inbox)))

    async def follow(self, job: Job, *, timeout_seconds: float | None = None) -> Job:
        """Wait for the end of a job by the provider's stream of events; see `Client.follow`."""
        waiting = self._waiting(job, timeout_seconds)
        if self._can_follow(job):
            async with AsyncExitStack() as stack:
                ear = stack.enter_context(Listening(waiting, self._clock))
                response = await stack.enter_async_context(self._opened(job, ear.patience))
                response.stream = Watched(response.stream, ear.look)
                await self._drive(self._look(waiting))  # the job may have ended before, and there is no replay
                jobs = await stack.enter_async_context(aclosing(self._told(response, job)))
                while not waiting.job.terminal:
                    ear.hear(await anext(jobs, None))
        return await self._drive(self._wait(waiting))

    async def run(
        self,
        input: Mapping[str, Json],
        *,
        model: str | None = None,
        operation: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Job:
        """Make one job and wait until it ends; see `Client.run`."""
        job = await self.submit(input, model=model, operation=operation, timeout_seconds=timeout_seconds)
        return await self.wait(job, timeout_seconds=timeout_seconds)

    async def cancel(self, job: Job) -> Job:
        """Ask for a job to be stopped; see `Client.cancel`."""
        return await self._drive(self._flows.cancel(job))

    async def delete(self, job: Job) -> None:
        """Ask for a job to be removed; see `Client.delete`."""
        await self._drive(self._flows.delete(job))

    async def jobs(self) -> AsyncGenerator[Job, None]:
        """Go through all jobs that the provider lists; see `Client.jobs`."""
        walk = self._flows.walk()
        while walk.next is not None:
            for job in await self._drive(self._flows.page(walk)):
                yield job

    @asynccontextmanager
    async def events(self, job: Job | None = None) -> AsyncIterator[AsyncIterator[Job]]:
        """Listen to the provider's stream of events; see `Client.events`."""
        async with self._opened(job) as response:
            yield self._told(response, job)

    @asynccontextmanager
    async def _opened(
        self, job: Job | None, patience: float = REQUEST_TIMEOUT_SECONDS
    ) -> AsyncIterator[httpx.Response]:
        send = self._flows.subscription(job, patience)
        async with AsyncExitStack() as stack:
            with self._or_lost():
                response = await stack.enter_async_context(self._http.stream(**arguments(send), follow_redirects=False))
                if not response.is_success:
                    raise self._flows.unsubscribed(await self._read(response, send, self._clock.now()))
            yield response

    async def _told(self, response: httpx.Response, job: Job | None) -> AsyncGenerator[Job, None]:
        with self._or_lost():
            async for event in httpx_sse.EventSource(response).aiter_sse():
                told = self._flows.told(event.event, event.data, job)
                if told is not None:
                    yield told

    async def read_callback(
        self, headers: Mapping[str, str], body: bytes, *, secret: str | None = None, jwks: Json | bytes = None
    ) -> Job:
        """Read a callback that the provider has sent; see `Client.read_callback`."""
        return await self._drive(self._read_callback(headers, body, secret, jwks))

    async def download(self, output: Output) -> bytes:
        """Return the bytes of a result file; see `Client.download`."""
        return await self._drive(self._flows.download(output))

    async def _drive(self, flow: Generator[Command, Any, T]) -> T:
        try:
            command = next(flow)
            while True:
                try:
                    result = await self._do(command)
                except NoAnswer as error:
                    command = flow.throw(error)
                else:
                    command = flow.send(result)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    async def _do(self, command: Command) -> Answer | None:
        if isinstance(command, Sleep):
            await self._clock.sleep_async(command.seconds)
            return None
        began = self._clock.now()
        try:
            request = self._request(self._http, command)
            async with aclosing(await self._http.send(request, stream=True, follow_redirects=False)) as response:
                return await self._read(response, command, began)
        except HTTP_ERRORS as error:
            raise no_answer(error) from error

    async def _read(self, response: httpx.Response, send: Send, began: float) -> Answer:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            add(body, chunk, send, self._clock.now() - began)
        return self._answer(response, body)

    async def aclose(self) -> None:
        """Close the HTTP client, if it is this client's own."""
        if self._own:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
