"""A loopback address that receives callbacks, over a real socket."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from understudy.errors import UsageError

#: Callbacks that are kept; later ones are answered 503.
MAX_CALLBACKS = 10_000

#: A larger body is answered 413 unread.
MAX_BODY_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Received:
    """A callback that came in.

    Attributes:
        path: The path and query that it was sent to.
        headers: Names in lower case.
        body: The bytes.
    """

    path: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """Receives callbacks on 127.0.0.1 while it is open.

    Args:
        status: The HTTP status that callbacks are answered with.
        port: The port to listen on; 0 for any that is free.

    Attributes:
        received: What came in, in order.

    Example:
        >>> from understudy import Client, Fake, Receiver
        >>> with Receiver() as receiver, Fake("kie") as fake:
        ...     client = Client("kie", api_key="key", http=fake.client(), clock=fake.clock)
        ...     job = client.submit({"prompt": "a lighthouse"}, model="nano-banana-pro", callback_url=receiver.url)
        ...     fake.clock.sleep(60)
        ...     callback = receiver.received[0]
        ...     client.read_callback(callback.headers, callback.body).state
        <State.SUCCEEDED: 'succeeded'>
    """

    def __init__(self, *, status: int = 200, port: int = 0) -> None:
        self.status = status
        self._port = port
        self.received: list[Received] = []
        self._arrived = threading.Condition()
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Where callbacks can be sent to.

        Raises:
            UsageError: The receiver is not open.
        """
        if self._server is None:
            raise UsageError("the receiver is not open: use it in a with statement")
        return f"http://127.0.0.1:{self._server.server_address[1]}/callback"

    def wait(self, count: int, *, timeout_seconds: float = 10.0) -> list[Received]:
        """Wait until so many callbacks have come in, in real time.

        Args:
            count: How many.
            timeout_seconds: For how long.

        Raises:
            UsageError: There were not so many in that time.
        """
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.received) >= count, timeout_seconds):
                raise UsageError(
                    f"{len(self.received)} callbacks came in within {timeout_seconds:g} seconds, not {count}"
                )
            return list(self.received)

    def _take(self, callback: Received) -> int:
        with self._arrived:
            if len(self.received) >= MAX_CALLBACKS:
                return 503
            self.received.append(callback)
            self._arrived.notify_all()
        return self.status

    def __enter__(self) -> Self:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = self.headers.get("content-length", "0")
                if "transfer-encoding" in self.headers or not length.isdecimal():
                    self._reply(411, last=True)
                elif len(length) > 9 or int(length) > MAX_BODY_BYTES:
                    self._reply(413, last=True)
                elif len(body := self.rfile.read(int(length))) == int(length):  # or it was cut off
                    headers = {name.lower(): value for name, value in self.headers.items()}
                    self._reply(receiver._take(Received(self.path, headers, body)))

            do_PUT = do_POST

            def _reply(self, status: int, *, last: bool = False) -> None:
                self.close_connection = self.close_connection or last
                self.send_response_only(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing: what came in is in `received`."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
