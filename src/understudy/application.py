"""An application of the user's that callbacks go into, without a socket."""

from __future__ import annotations

import asyncio
import functools
import sys
import threading
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from understudy.callback import Delivery, Done
from understudy.reach import NOT_MET
from understudy.virtual_time import is_virtual

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Scope


class Application:
    """An ASGI application on an event loop of its own, so that a test without one can call it, too.

    The loop runs in the thread that moves the clock, while it does: to go to another and back takes longer than most
    applications do. Where that thread has a loop already, or a time of its own, or where the application has left tasks
    behind that go on by themselves, the loop gets a thread for good.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._under_way: set[asyncio.Task[None]] = set()

    def send(self, delivery: Delivery, done: Done) -> None:
        running = _running_loop()
        if running is not None and running is self._loop:  # the application itself has moved the clock
            task = running.create_task(self._post(delivery, done))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
            return
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            weakref.finalize(self, _stop, self._loop)
        posting = self._settled(delivery, done)
        if self._thread is None and running is None and not _is_elsewhere():
            self._loop.run_until_complete(posting)
            if asyncio.all_tasks(self._loop):
                self._thread = _thread_of(self._loop)
            return
        self._thread = self._thread or _thread_of(self._loop)
        asyncio.run_coroutine_threadsafe(posting, self._loop).result()

    async def _settled(self, delivery: Delivery, done: Done) -> None:
        """Post a callback, and see the end of those that it has led to."""
        await self._post(delivery, done)
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def _post(self, delivery: Delivery, done: Done) -> None:
        try:
            if delivery.first is not None:
                _, answer = await self._answered(delivery.first)
                if not delivery.first.met(answer):
                    done(None, NOT_MET)
                    return
            status, _ = await self._answered(delivery)
        except TimeoutError:
            done(None, f"no answer within {delivery.timeout_seconds:g} seconds")
        except (Exception, asyncio.CancelledError) as error:  # whatever an application does is its own affair
            done(None, f"no answer: {type(error).__name__}")
        else:
            done(status, "" if status is not None else "no answer: the application has sent no whole one")

    async def _answered(self, delivery: Delivery) -> tuple[int | None, bytes]:
        """Return what the application answers: the status, None where the answer is not whole, and the body.

        One that breaks before it has answered answers 500, as at every server of ASGI.
        """
        answer = _Answer(delivery)
        async with asyncio.timeout(delivery.timeout_seconds):
            try:
                await self._app(_scope(delivery), answer.receive, answer.send)
            except Exception:
                if answer.status is None:
                    return 500, b""
        return answer.status if answer.over.is_set() else None, bytes(answer.body)

    def close(self) -> None:
        if self._loop is not None:
            _stop(self._loop)
        if self._thread is not None:
            self._thread.join()
        self._loop = self._thread = None


class _Answer:
    """One request to an ASGI application, and what it answers."""

    def __init__(self, delivery: Delivery) -> None:
        self.status: int | None = None
        self.body = bytearray()
        self._asked: bytes | None = delivery.body
        self.over = asyncio.Event()

    async def receive(self) -> Message:
        if self._asked is None:
            await self.over.wait()
            return {"type": "http.disconnect"}
        asked, self._asked = self._asked, None
        return {"type": "http.request", "body": asked, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")
            if not message.get("more_body", False):
                self.over.set()


# What a path may have as it is (RFC 3986, section 3.3), and what is encoded already.
_IN_PATH = "/%:@!$&'()*+,;="


def _scope(delivery: Delivery) -> Scope:
    """Return a callback as an ASGI scope."""
    host, place = _place(delivery.url)
    length = str(len(delivery.body)).encode()
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        **place,
        "root_path": "",
        "headers": [(b"host", host), *delivery.raw_headers, (b"content-length", length)],
        "client": ("127.0.0.1", 0),
    }


@functools.lru_cache(maxsize=16)
def _place(url: str) -> tuple[bytes, Mapping[str, Any]]:
    """Return what an address says of the host, and of the scope; most callbacks go to one."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2].encode(), {
        "scheme": parts.scheme,
        "path": unquote(parts.path) or "/",
        "raw_path": quote(parts.path, safe=_IN_PATH).encode() or b"/",
        "query_string": quote(parts.query, safe=f"{_IN_PATH}?").encode(),
        "server": (parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)),
    }


def _running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs in this thread, or None."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _is_elsewhere() -> bool:
    """Say whether this thread is no place for an event loop of asyncio's: trio runs in it, or its time is virtual."""
    sniffio = sys.modules.get("sniffio")
    return is_virtual() or (sniffio is not None and sniffio.thread_local.name is not None)


def _thread_of(loop: asyncio.AbstractEventLoop) -> threading.Thread:
    """Run an event loop in a thread of its own, and return that once it does."""
    runs = threading.Event()
    loop.call_soon(runs.set)
    thread = threading.Thread(target=_run, args=(loop,), name="understudy-post", daemon=True)
    thread.start()
    runs.wait()
    return thread


def _run(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()


def _stop(loop: asyncio.AbstractEventLoop) -> None:
    if loop.is_running():
        loop.call_soon_threadsafe(loop.stop)
    else:
        loop.close()
