"""What both clients are made of: all but the waiting itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import httpx_sse

from understudy.clock import Clock, SystemClock
from understudy.contract.model import Contract
from understudy.errors import ProviderError, UnreadableReply, UsageError
from understudy.exchange import Answer, Command, NoAnswer, Send
from understudy.flows import Flows
from understudy.folders import Paths, find_provider
from understudy.library import load_provider
from understudy.lifecycle import Job, Json
from understudy.waits import Waiting

if TYPE_CHECKING:
    from understudy.inbox import Inbox

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
        parameters: Mapping[str, Json] | None = None,
        clock: Clock | None = None,
        paths: Paths = (),
    ) -> None:
        if not (api_key.isascii() and api_key.isprintable()):
            raise UsageError("the key has a character that no header can carry, such as a line break at its end")
        contract = provider if isinstance(provider, Contract) else load_provider(find_provider(provider, paths))[0]
        self.contract = contract
        self._clock = clock if clock is not None else SystemClock()
        self._flows = Flows(contract, api_key=api_key, base_url=base_url, parameters=parameters, now=self._clock.now)
        self._built: tuple[Send, httpx.Request] | None = None

    def _read_callback(
        self, headers: Mapping[str, str], body: bytes, secret: str | None, jwks: Json | bytes
    ) -> Generator[Command, Any, Job]:
        return self._flows.callback(headers, body, secret=secret, jwks=jwks, now=self._clock.now())

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

    def _waiting(self, job: Job, timeout_seconds: float | None, inbox: Inbox | None = None) -> Waiting:
        return self._flows.waiting(job, timeout_seconds=timeout_seconds, now=self._clock.now, inbox=inbox)

    def _wait(self, waiting: Waiting) -> Generator[Command, Any, Job]:
        return self._flows.wait(waiting, self._clock.now)

    def _look(self, waiting: Waiting) -> Generator[Command, Any, None]:
        return self._flows.look(waiting, self._clock.now)

    def _can_follow(self, job: Job) -> bool:
        return self.contract.job_type.events is not None and not job.terminal

    @contextmanager
    def _or_lost(self) -> Iterator[None]:
        """Turn what a stream of events breaks with into errors of ours."""
        try:
            yield
        except (*HTTP_ERRORS, NoAnswer) as error:
            kind = UnreadableReply if isinstance(error, httpx_sse.SSEError) else ProviderError
            raise self._flows.lost(kind, error) from None

    def _answer(self, response: httpx.Response, body: bytearray) -> Answer:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers.raw}
        return Answer(response.status_code, headers, bytes(body), self._clock.now())


class Watched(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body in whose pieces, whatever is in them, somebody has a look at the clock.

    Args:
        body: The body.
        look: Called at each piece; it may raise.
    """

    def __init__(self, body: httpx.SyncByteStream | httpx.AsyncByteStream, look: Callable[[], None]) -> None:
        self._body: Any = body
        self._look = look

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._body:
            self._look()
            yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._body:
            self._look()
            yield piece

    def close(self) -> None:
        self._body.close()

    async def aclose(self) -> None:
        await self._body.aclose()


def one(jobs: list[Job]) -> Job:
    if len(jobs) != 1:
        raise UsageError(f"the request made {len(jobs)} jobs: call submit_many")
    return jobs[0]


def no_answer(error: Exception) -> NoAnswer:
    return NoAnswer(f"{type(error).__name__}: {error}", sent=not isinstance(error, _NOT_SENT))


def add(body: bytearray, chunk: bytes, send: Send, seconds: float) -> None:
    """Add a piece of an answer that has taken so long; one that comes in pieces may not take for ever."""
    if body and seconds > send.most_seconds:
        raise NoAnswer(f"it was not whole after {send.most_seconds:g} seconds", sent=True)
    body += chunk
    if len(body) > send.most_bytes:
        raise NoAnswer(f"it is longer than {send.most_bytes:,} bytes", sent=True)


def arguments(send: Send) -> dict[str, Any]:
    return {
        "method": send.method,
        "url": send.url,
        "headers": list(send.headers),
        "content": send.body or None,
        "timeout": send.timeout_seconds,
    }
