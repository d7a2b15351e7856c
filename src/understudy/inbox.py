"""An address for a provider's callbacks: an ASGI application that keeps what they tell, and passes on what is new.

Three rules of this file. Whatever comes in, nobody is told of the same news twice; a job that has ended stays as it
ended; and an answer says no more than its status, since anybody may have asked, or what a challenge has asked for.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from understudy.callback import answer_to
from understudy.contract.codecs import encode_json
from understudy.errors import ProviderError, SignatureInvalid, UnreadableReply, UsageError
from understudy.lifecycle import TRANSITIONS, Job

if TYPE_CHECKING:
    from understudy.async_client import AsyncClient
    from understudy.client import Client

#: Jobs that are kept; those that were not told of for longest go first.
MAX_JOBS = 10_000

#: A larger body is answered 413 and not read to its end.
MAX_BODY_BYTES = 1024 * 1024

_Message = MutableMapping[str, Any]


class Inbox:
    """Receives a provider's callbacks: an ASGI application, to be served or mounted wherever the provider calls back.

    It answers 200 to what it can read, also to what it knows already or keeps out: a second word on a state, and any
    word that comes too late. It answers 401 where the signature is missing, wrong or stale, 400 to what is no callback,
    405 to any method but POST, 413 to a body over 1 MiB, and 503 while the keys that the provider publishes cannot be
    fetched. Where `on_job` raises, the news counts as not told and the error is the server's (500): the provider will
    try again.

    Args:
        client: The client, sync or async, that reads the callbacks; its clock says whether a signature is stale.
        secret: The key that the provider and you share; None where callbacks are not signed. Without it anybody can
            send one: let `wait` ask the provider.
        on_job: Called with the job once for each news, in the event loop; it may be a coroutine function.

    Raises:
        UsageError: The provider sends no callbacks, or does not sign them and there is a secret.

    Example:
        >>> import httpx, understudy
        >>> fake = understudy.Fake("kie")
        >>> client = understudy.Client("kie", api_key="key", http=fake.client(), clock=fake.clock)
        >>> inbox = understudy.Inbox(client, secret="understudy-webhook-key")
        >>> import asyncio
        >>> async def post(body):
        ...     async with httpx.AsyncClient(transport=httpx.ASGITransport(inbox)) as http:
        ...         return (await http.post("http://inbox/", content=body)).status_code
        >>> asyncio.run(post(b"no callback"))
        400
    """

    def __init__(
        self, client: Client | AsyncClient, *, secret: str | None = None, on_job: Callable[[Job], object] | None = None
    ) -> None:
        callback = client.contract.job_type.callback
        if callback is None:
            raise UsageError(f"{client.contract.name} sends no callbacks")
        if secret is not None and callback.sign is None:
            raise UsageError(f"{client.contract.name} does not sign its callbacks: pass no secret")
        self._handshake = callback.handshake
        self._client = client
        self._secret = secret
        self._on_job = on_job
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()

    @property
    def jobs(self) -> dict[str, Job]:
        """What callbacks have told, by id, as it is now: the last news of each job, the oldest first."""
        with self._lock:
            return dict(self._jobs)

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
    ) -> None:
        """Answer a request, as ASGI has it.

        Args:
            scope: Of the request.
            receive: Gives its body.
            send: Takes the answer.

        Raises:
            UsageError: It is no request by HTTP.
        """
        if scope["type"] != "http":
            raise UsageError(f"an inbox takes requests by HTTP, and no {scope['type']}")
        status, body = (405, b"") if scope["method"] != "POST" else await self._receive(scope, receive)
        headers = [(b"content-length", str(len(body)).encode()), *([(b"allow", b"POST")] if status == 405 else [])]
        headers += [(b"content-type", b"application/json")] if body else []
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _receive(self, scope: Mapping[str, Any], receive: Callable[[], Awaitable[_Message]]) -> tuple[int, bytes]:
        """Take what comes in, and return the status and the body that it is answered with."""
        body, more = bytearray(), True
        while more:
            message = await receive()  # one that tells that the caller has gone has neither a body nor more of it
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > MAX_BODY_BYTES:
                return 413, b""
        if self._handshake is not None and (answer := answer_to(self._handshake, bytes(body))) is not None:
            return 200, encode_json(answer)
        return await self._heard(scope, bytes(body)), b""

    async def _heard(self, scope: Mapping[str, Any], body: bytes) -> int:
        """Take a callback, and return the status that it is answered with."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            job: Job = await _settled(self._client.read_callback(headers, body, secret=self._secret))
        except SignatureInvalid:
            return 401
        except UnreadableReply:
            return 400
        except ProviderError:  # the provider's keys could not be fetched
            return 503
        with self._news(job) as is_news:
            if is_news and self._on_job is not None:
                await _settled(self._on_job(job))
        return 200

    @contextmanager
    def _news(self, job: Job) -> Iterator[bool]:
        """Keep what a job has come to, and say whether that is news; if telling it fails, it is still to be told."""
        with self._lock:
            known = self._jobs.get(job.id)
            is_news = known is None or (job.state != known.state and job.state in TRANSITIONS[known.state])
            if is_news:
                self._put(job.id, job)
        try:
            yield is_news
        except BaseException:
            with self._lock:
                if self._jobs.get(job.id) is job:
                    self._put(job.id, known)
            raise

    def _put(self, job_id: str, job: Job | None) -> None:
        self._jobs.pop(job_id, None)
        if job is not None:
            self._jobs[job_id] = job
        while len(self._jobs) > MAX_JOBS:
            del self._jobs[next(iter(self._jobs))]


async def _settled(result: Any) -> Any:
    """Return what a function has returned, or what its coroutine does."""
    return await result if inspect.isawaitable(result) else result
