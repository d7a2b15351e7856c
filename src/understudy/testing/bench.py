"""The bench: a live server on a virtual clock, on which a client under test is run."""

from __future__ import annotations

import asyncio
import copy
import inspect
import itertools
import logging
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Self
from unittest.mock import patch
from urllib.parse import urlencode, urlsplit

import httpx

from understudy.callback import Delivery
from understudy.clock import VirtualClock
from understudy.contract.codecs import dump_json
from understudy.contract.operations import key_headers, key_parameters
from understudy.errors import ClockExhausted, UsageError
from understudy.folders import Paths
from understudy.journal import Entry, Exchange, Journal
from understudy.lifecycle import State
from understudy.logbook import Logbook
from understudy.provider import Provider
from understudy.reach import tls
from understudy.roster import Roster
from understudy.server import LiveServer
from understudy.testing.endpoint import Callback, Endpoint
from understudy.testing.run import Given, Run, Situation
from understudy.virtual_time import virtual_time
from understudy.wire import Reply, Request

#: Where callbacks are said to go: nobody listens there, and nothing is sent.
CALLBACK_URL = "http://127.0.0.1:9/callback"

#: After so many requests a client is stopped: it asks without end, and without waiting.
MAX_REQUESTS = 500

# How long callbacks may come in after a client has returned, in seconds of virtual time.
_AFTER_SECONDS = 3600.0

Receive = Callable[[Callback], Any]
Done = Callable[[int | None, str], None]


class Bench:
    """A live server with one provider, on which clients are run one after another.

    Args:
        provider: The provider's name.
        paths: Folders with `contracts/` and `fakes/` to look in before the working directory.

    Raises:
        UsageError: There is no such provider.
        ContractInvalid: Its files cannot be used.
    """

    def __init__(self, provider: str, paths: Paths = ()) -> None:
        self._clock = VirtualClock(ceiling_seconds=float("inf"))
        self._callbacks = _Callbacks()
        self._server = LiveServer(self._clock, Logbook(self._clock, quiet=True), (), reload=False)
        roster = Roster([provider], clock=self._clock, send=self._callbacks.send, paths=paths)
        self._server.start(roster, "127.0.0.1", 0, 0)
        self._server.share_clock()
        self._provider: Provider = next(iter(roster)).provider
        self._base_url = self._server.url_of(next(iter(roster)).name)
        self._http = httpx.Client(trust_env=False, verify=tls(), timeout=None)  # noqa: S113 # virtual time ends waits
        self._numbers = itertools.count(1)
        self.contract = self._provider.contract

    def run(
        self,
        generate: Callable[[Endpoint, dict[str, Any]], Any],
        receive: Receive | None,
        situation: Situation,
        request: dict[str, Any],
        *,
        ceiling_seconds: float,
    ) -> Run:
        """Put a client into a situation, and see what it does.

        Args:
            generate: Calls the client.
            receive: Gives it a callback; None where it takes none.
            situation: What happens.
            request: What the client is to ask for.
            ceiling_seconds: After how long it is stopped.

        Raises:
            UsageError: The client cannot be called like that.
        """
        self._provider.reset()
        self._provider.pipeline.errors = situation.transport
        for fault in situation.faults:
            self._provider.fault(**fault)
        if situation.job:
            self._provider.next_job(**situation.job)
        endpoint = Endpoint(
            base_url=self._base_url,
            api_key=f"sk-bench-{next(self._numbers):06}-secret",
            callback_url=CALLBACK_URL,
            webhook_secret=next(iter(self._provider.behaviour.secrets.values()), None),
            http=self._http,
        )
        run = Run(self.contract, situation, request, endpoint)
        self._callbacks.begin(receive, run)
        here: dict[str, Any] = {"peers": (self._server,), "after_step": self._callbacks.give}
        with _listening(run):
            with virtual_time(self._clock, ceiling_seconds=ceiling_seconds, **here), _Leash(self._provider.journal):
                run.began = self._clock.now()
                self._call(generate, run)
                run.ended = self._clock.now()
            self._see(run)
            with virtual_time(self._clock, **here) as rest:
                rest.sleep(_AFTER_SECONDS if receive is not None else 0.0)
        self._callbacks.end()
        while self._clock.next_due() is not None:  # what else was planned is not to come into the next run
            self._clock.step()
        return run

    def _call(self, generate: Callable[[Endpoint, dict[str, Any]], Any], run: Run) -> None:
        """Call the client, and keep what comes of it."""
        try:
            if inspect.iscoroutinefunction(generate):
                run.value = asyncio.run(_called(generate, run))
            else:
                run.value = generate(run.endpoint, copy.deepcopy(run.request))
            if inspect.iscoroutine(run.value):
                run.value.close()
                raise UsageError("generate() returned a coroutine: await it there, or make it `async def`")
        except UsageError:
            raise
        except (Exception, ClockExhausted) as error:
            if isinstance(error, TypeError) and _is_of_the_call(error, generate):
                raise UsageError(f"the client cannot be called like that: {error}") from error
            run.error = error

    def _see(self, run: Run) -> None:
        """Keep what is known at the provider when the client has ended."""
        journal = self._provider.journal
        run.journal, run.timeline = list(journal), journal.timeline()
        run.jobs = {job_id: copy.copy(play.job) for job_id, play in self._provider.plays.items()}
        for job in run.jobs.values():
            shown = dump_json(job.result)  # a provider may make more than it tells of
            if job.state is State.SUCCEEDED:
                urls = [one.url for one in job.outputs if one.url and one.url in shown]
                run.files.update({url: self._file(url, run.endpoint) for url in urls})

    def _file(self, url: str, endpoint: Endpoint) -> bytes:
        """Return a result file; nothing where it is no longer kept."""
        home = urlsplit(self._base_url).path.removesuffix(self.contract.base_path)  # files are not below that
        path = urlsplit(url).path.removeprefix(home)
        securities = self.contract.securities
        query = urlencode(key_parameters(securities, endpoint.api_key))
        headers = [(name.lower(), value) for name, value in key_headers(securities, endpoint.api_key).items()]
        outcome = self._provider.handle(Request("GET", path, query, headers))
        return outcome.body if isinstance(outcome, Reply) and outcome.status == 200 else b""

    def close(self) -> None:
        """Stop the server."""
        self._http.close()
        self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


async def _called(generate: Callable[[Endpoint, dict[str, Any]], Any], run: Run) -> Any:
    async with httpx.AsyncClient(trust_env=False, verify=tls(), timeout=None) as http:  # noqa: S113 # as above
        run.endpoint = Endpoint(**{**vars(run.endpoint), "http": http})
        return await generate(run.endpoint, copy.deepcopy(run.request))


def _is_of_the_call(error: TypeError, generate: Callable[..., Any]) -> bool:
    """Say whether an error comes from a call that does not fit, and not from within the client."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    code = frame.tb_frame.f_code if frame is not None else None
    return code in (getattr(generate, "__code__", None), Bench._call.__code__, _called.__code__)


class _Callbacks:
    """The callbacks of the provider, given to the client where it waits: in its own thread and event loop."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Delivery, Done]] = deque()
        self._receive: Receive | None = None
        self._run: Run | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, receive: Receive | None, run: Run) -> None:
        """Give the callbacks of a run to a client."""
        self._receive, self._run = receive, run

    def end(self) -> None:
        """Give none any more."""
        self._run = None
        self._waiting.clear()

    def send(self, delivery: Delivery, done: Done) -> None:
        """Keep a callback until the client waits; see `understudy.stage.Send`."""
        if self._run is None or self._receive is None:
            done(None, "not sent: nobody receives callbacks")
        else:
            self._waiting.append((delivery, done))

    def give(self) -> None:
        """Give the client what has come for it."""
        while self._waiting:
            delivery, done = self._waiting.popleft()
            callback = Callback(dict(delivery.headers), delivery.body)
            if inspect.iscoroutinefunction(self._receive):
                self._begin(self._received(self._receive(callback), done))
            else:
                self._answered(callback, done)

    def _begin(self, work: Any) -> None:
        try:
            task = asyncio.get_running_loop().create_task(work)
        except RuntimeError:  # the client has returned, and its event loop has ended
            asyncio.run(work)
        else:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _received(self, answer: Any, done: Done) -> None:
        try:
            value = await answer
        except Exception as error:
            self._note(done, 500, repr(error))
        else:
            self._note(done, _status(value), repr(value))

    def _answered(self, callback: Callback, done: Done) -> None:
        assert self._receive is not None
        try:
            value = self._receive(callback)
        except Exception as error:
            self._note(done, 500, repr(error))
        else:
            self._note(done, _status(value), repr(value))

    def _note(self, done: Done, status: int, said: str) -> None:
        assert self._run is not None  # who is still at work when a run has ended is cancelled, and says nothing
        self._run.given.append(Given(status, said))
        done(status, "")


def _status(value: Any) -> int:
    """Return the HTTP status that a client's answer to a callback stands for."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return 400 if value is False else 200


class _Leash:
    """Stops a client that asks without end and without waiting, as soon as it sends more: no clock would ever stop it.

    Args:
        journal: Where the requests are noted.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._thread = threading.get_ident()
        self._left = MAX_REQUESTS
        self._patches = ExitStack()

    def __enter__(self) -> None:
        self._journal.listeners.append(self._heard)
        for name in ("send", "sendall"):
            self._patches.enter_context(patch.object(socket.socket, name, self._held(getattr(socket.socket, name))))

    def __exit__(self, *exc_info: object) -> None:
        self._journal.listeners.remove(self._heard)
        self._patches.close()

    def _heard(self, entry: Entry) -> None:
        self._left -= isinstance(entry, Exchange)

    def _held(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def send(one: socket.socket, *args: Any) -> Any:
            if self._left <= 0 and threading.get_ident() == self._thread:
                raise ClockExhausted(f"{MAX_REQUESTS} requests were sent, and there was no end of it")
            return real(one, *args)

        return send


class _Ear(logging.Handler):
    """Hears what a client logs, at any level; libraries that send its requests log them as they are."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] not in _LIBRARIES:
            self.heard.append(self.format(record))


_LIBRARIES = frozenset({"httpx", "httpcore", "urllib3", "aiohttp", "asyncio", "uvicorn", "understudy"})


@contextmanager
def _listening(run: Run) -> Iterator[None]:
    """Hear what is logged, and nobody else meanwhile."""
    ear, root = _Ear(), logging.getLogger()
    level, handlers = root.level, root.handlers
    root.handlers = [ear]
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.handlers = handlers
        root.setLevel(level)
        run.log = "\n".join(ear.heard)
