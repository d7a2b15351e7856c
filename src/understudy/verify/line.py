"""The line to the provider: requests as the contract has them go out with the key, and answers come back without it.

Three rules of this file. No host is called but that of the base URL and, for result files, those that the contract
names. The key is put in last, and taken out of whatever comes back. A request that is written down has none in it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import replace
from urllib.parse import quote, urlsplit

from understudy.client import Client
from understudy.contract.model import Contract
from understudy.contract.operations import Operation
from understudy.errors import UsageError
from understudy.exchange import (
    MAX_DOWNLOAD_BYTES,
    MAX_DOWNLOAD_SECONDS,
    REQUEST_TIMEOUT_SECONDS,
    Answer,
    Command,
    NoAnswer,
    Send,
)
from understudy.fake import API_KEY
from understudy.reach import host_of
from understudy.wire import Request

#: What stands in place of the key in what comes back.
NO_KEY = "[key]"


class Line(Client):
    """A line to one provider; see `Client` for what it is made of.

    Args:
        contract: What it promises.
        base_url: Where it is.
        api_key: The key.
        **more: `http` and `clock` of `Client`.

    Attributes:
        server: The server of the contract that the base URL stands for; only its operations are asked.

    Raises:
        UsageError: The base URL is none.
    """

    def __init__(self, contract: Contract, *, base_url: str, api_key: str, **more: object) -> None:
        super().__init__(contract, api_key=api_key, **more)  # type: ignore[arg-type]
        self._base_url, self._host = base_url.rstrip("/"), host_of(base_url)
        if not self._host or urlsplit(base_url).scheme not in ("http", "https"):
            raise UsageError(f'"{base_url}" is no URL of a provider; one is {contract.servers[0]}')
        self._key = api_key
        own = [server for server in contract.servers if host_of(server) == self._host]
        self.server = next((server for server in own if server == self._base_url), (own or contract.servers)[0])
        self._below = urlsplit(self.server).path.rstrip("/")
        self._root = self._base_url.removesuffix(self._below)

    @property
    def host(self) -> str:
        """The host of the base URL."""
        return self._host

    def reach(self) -> None:
        """See that somebody is there; what they say to a request for nothing in particular is no matter.

        Raises:
            UsageError: Nobody is.
        """
        try:
            self._asked(Send("HEAD", self._base_url, (), b"", REQUEST_TIMEOUT_SECONDS, REQUEST_TIMEOUT_SECONDS))
        except NoAnswer as error:
            if not error.sent:
                raise UsageError(
                    f"nobody can be reached at {self._base_url}: {error}\n"
                    "  Look at --base-url, and whether the provider is up."
                ) from None

    def asks(self, operation: Operation) -> bool:
        """Say whether an operation is one of those that are asked."""
        return host_of(operation.server) == host_of(self.server)

    def ask(self, request: Request) -> Answer:
        """Send a request that has the stand-in key in place of the real one, and return the answer.

        Raises:
            NoAnswer: Nothing came back.
        """
        path = request.path if self._root != self._base_url else request.path.removeprefix(self._below)
        query = f"?{request.query.replace(quote(API_KEY), quote(self._key))}" if request.query else ""
        headers = tuple((name, value.replace(API_KEY, self._key)) for name, value in request.headers)
        limits = REQUEST_TIMEOUT_SECONDS, MAX_DOWNLOAD_SECONDS
        return self._asked(Send(request.method, f"{self._root}{path}{query}", headers, request.body, *limits))

    def fetch(self, send: Send) -> Answer:
        """Fetch a result file.

        Raises:
            ValueError: It is at a host that the contract does not name.
            NoAnswer: Nothing came back.
        """
        host = host_of(send.url)
        if host not in (self._host, *self.contract.hosts):
            raise ValueError(f"a result file is at {host or 'no host'}, which the contract does not name")
        headers = tuple((name, value.replace(API_KEY, self._key)) for name, value in send.headers)
        url = send.url if host != host_of(self.server) else send.url.replace(self.server, self._base_url, 1)
        return self._asked(replace(send, url=url, headers=headers, most_bytes=MAX_DOWNLOAD_BYTES))

    def request(self, send: Send) -> Request:
        """Return a request of a flow as data.

        Raises:
            ValueError: It leads to another host.
        """
        parts = urlsplit(send.url)
        if host_of(send.url) != host_of(self.server):
            raise ValueError(f"a link leads to {host_of(send.url) or 'no host'}, which is not that of the base URL")
        headers = [(name.lower(), value) for name, value in send.headers]
        return Request(send.method, parts.path, parts.query, headers, send.body, host=host_of(self.server))

    def _asked(self, send: Send) -> Answer:
        secrets = [(self._key, NO_KEY), (self._base_url, self.server)]
        try:
            answer = self._drive(_once(send))
        except NoAnswer as error:
            raise NoAnswer(_replaced(str(error), secrets[:1]), sent=error.sent) from None
        headers = {name: _replaced(value, secrets) for name, value in answer.headers.items()}
        body = answer.body
        for old, new in secrets:
            body = body.replace(old.encode(), new.encode())
        return replace(answer, headers=headers, body=body)


def _once(send: Send) -> Generator[Command, Answer, Answer]:
    return (yield send)


def _replaced(text: str, pairs: Iterable[tuple[str, str]]) -> str:
    for old, new in pairs:
        text = text.replace(old, new)
    return text
