"""A request that a client makes, and the answer to it, as data; and how the one is written and the other looked at."""

from __future__ import annotations

import email.utils
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode

from understudy.bodies import encode_body
from understudy.contract.codecs import JSON_LINES, CodecError, as_text, parse_json
from understudy.contract.expressions import Expression, Place, placed
from understudy.contract.loader import index_of
from understudy.contract.model import Contract
from understudy.contract.operations import Operation, key_headers, key_parameters, path_names
from understudy.contract.validation import JSON
from understudy.contract.views import View
from understudy.errors import UsageError, suggestion
from understudy.lifecycle import Json
from understudy.reach import without_key
from understudy.wire import RequestView

#: The pause before the first repetition that nobody has asked for, in seconds; it doubles from there.
FIRST_PAUSE_SECONDS = 1.0

#: The longest pause between two tries that nobody has asked for, in seconds.
MAX_PAUSE_SECONDS = 300.0

#: How long one request may take; a create that blocks until its job ends may take as long as a wait.
REQUEST_TIMEOUT_SECONDS = 30.0

#: What a client takes unless it says otherwise.
ACCEPT = "application/json, */*"

#: A longer answer is not read.
MAX_REPLY_BYTES = 64 * 1024 * 1024

#: A larger result file is not read.
MAX_DOWNLOAD_BYTES = 256 * 1024 * 1024

#: A result file that takes longer is not read to its end, in seconds.
MAX_DOWNLOAD_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request and give back the answer.

    `timeout_seconds` is for each step of it, such as the next piece of the body; `most_seconds` for all of them.
    """

    method: str
    url: str = field(repr=False)  # this and the next may carry the key
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes
    timeout_seconds: float
    most_seconds: float
    most_bytes: int = MAX_REPLY_BYTES


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; the names of headers are in lower case. `at` is when, in unix seconds."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    at: float


class NoAnswer(Exception):
    """Nothing came back: `sent` says whether the request may have reached the provider."""

    def __init__(self, text: str, *, sent: bool) -> None:
        super().__init__(text)
        self.sent = sent


Command = Send | Sleep


class Draft:
    """A request in the making."""

    def __init__(self) -> None:
        self.body: Json = None
        self.query: dict[str, Json] = {}
        self.headers: list[tuple[str, str]] = []
        self.path: dict[str, Json] = {}

    def put(self, place: Place, value: Json, complaint: str) -> None:
        """Put a value where a place says, or raise UsageError where there is no such place."""
        target = next((item for item in place if isinstance(item, Expression) and item.root == "request"), None)
        if target is None:
            raise UsageError(complaint)
        match target.path:
            case ("query", name):
                self.query[name] = value
            case ("header", name):
                self.headers.append((name, str(value)))
            case ("path", name):
                self.path[name] = value
            case _:
                self._put_in_body(target.pointer or (), value)

    def _put_in_body(self, pointer: Sequence[str], value: Json) -> None:
        if not pointer:
            self.body = {**(self.body or {}), **value}
            return
        node = self.body = {} if self.body is None else self.body
        for name, following in pairwise(pointer):
            empty: Json = {} if index_of(following) is None else []
            if isinstance(node, list):
                node.append(empty)  # a place names the first item, and there is none yet
                node = empty
            else:
                node = node.setdefault(name, empty)
        if isinstance(node, list):
            node.append(value)
        else:
            node[pointer[-1]] = value


class Writer:
    """Writes requests: where to, and with the key where it belongs.

    Args:
        contract: The provider's contract.
        api_key: The key.
        base_url: Where the provider is, instead of its own servers.
        parameters: What parameters, and members of a body, are in every request that has them, by name.
        now: Tells the time, in unix seconds, for a key that is a pair; by default its tokens are always good.

    Raises:
        UsageError: No operation has a parameter of one of the names.
    """

    def __init__(
        self,
        contract: Contract,
        api_key: str,
        base_url: str | None,
        parameters: Mapping[str, Json] | None = None,
        now: Callable[[], float] | None = None,
    ) -> None:
        self._contract = contract
        self._api_key = api_key
        self._parameters = parameters or {}
        for name in self._parameters:
            known = {known for operation in contract.operations.values() for known in operation.names}
            if name not in known:
                text = f'no operation of {contract.name} has a parameter "{name}", in its body neither'
                raise UsageError(f"{text}; {suggestion(name, known)}")
        self._now: Callable[[], float | None] = now or (lambda: None)
        self._base_url = None if base_url is None else base_url.rstrip("/")

    def send(
        self,
        operation: Operation,
        request: Draft,
        timeout_seconds: float,
        accept: str = ACCEPT,
        link: str | None = None,
    ) -> Send:
        """Return the request to an operation.

        Args:
            operation: The operation.
            request: What is put into it; its body gets what the operation always has there.
            timeout_seconds: How long it may take.
            accept: The media types that are asked for.
            link: Where the provider wants it, in place of path and query; not followed to a host that is not its own.

        Raises:
            UsageError: It has something in it that is no JSON, or no text, or lacks a part of its path.
        """
        keys = key_parameters(operation.security, self._api_key)
        fixed_query = {name: as_text(value) for name, value in operation.fixed("query", self._parameters).items()}
        query = {**fixed_query, **request.query, **keys}
        key = key_headers(operation.security, self._api_key, self._now())
        fixed = [(name, as_text(value)) for name, value in operation.fixed("header", self._parameters).items()]
        headers = [("accept", accept), *fixed, *key.items(), *request.headers]
        body = b""
        try:
            if link is not None and self._is_ours(link):
                url, query = link, keys
            else:
                url = self._built(operation, request.path)
            if query:
                url = f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"
            if operation.body is not None:
                request.body = operation.body.completed(request.body, self._parameters)
            if request.body is not None:
                media_type = JSON if operation.body is None else operation.body.written_as
                content_type, body = encode_body(media_type, request.body)
                headers.append(("content-type", content_type))
        except (CodecError, TypeError, ValueError) as error:
            raise UsageError(f"the request to {operation.id} cannot be written: {error}") from None
        return Send(operation.method, url, tuple(headers), body, timeout_seconds, timeout_seconds)

    def _built(self, operation: Operation, path: Mapping[str, Json]) -> str:
        known = {**operation.fixed("path", self._parameters), **path}
        missing = next((name for name in path_names(operation.path) if name not in known), None)
        if missing is not None:
            what = f"{operation.id} cannot be asked: nothing tells the {missing} in {operation.path}"
            raise UsageError(f"{what}\n  do: {self._remedy(operation, missing)}")
        return (self._base_url or operation.server) + operation.path_with(known)

    def _remedy(self, operation: Operation, name: str) -> str:
        for create in self._contract.job_type.creates:
            if operation.id in create.operations:
                is_model = name in placed(create.model, "path")
                return "pass model=" if is_model else f'give the client parameters={{"{name}": …}}'
        return f'ask with the job that the create returned, or give the client parameters={{"{name}": …}}'

    def _is_ours(self, url: str, *more: str) -> bool:
        """Say whether a URL leads to the provider, to which the key may be sent; or to one of these."""
        home = [self._base_url] if self._base_url else self._contract.servers
        return any(_origin(url) == _origin(place) for place in (*home, *more))

    def follow(self, operation: Operation, send: Send, url: str) -> Send:
        """Return the request to a link in the answer to another one.

        Raises:
            ValueError: It leads to another host, which may not have the key.
        """
        if _origin(url) != _origin(send.url):
            raise ValueError("a link leads to another host")
        key = key_parameters(operation.security, self._api_key)
        if key:
            url = f"{url}{'&' if '?' in url else '?'}{urlencode(key)}"
        return replace(send, url=url)

    def fetch(self, url: str) -> Send:
        """Return the request for a result file; the key goes along only where the contract asks for it."""
        assets = self._contract.job_type.assets
        files = (str(assets.url.parts[0]),) if assets is not None and assets.url.parts else ()
        needed = assets is not None and assets.needs_key and self._is_ours(url, *files)
        headers = key_headers(self._contract.securities, self._api_key, self._now()) if needed else {}
        limits = REQUEST_TIMEOUT_SECONDS, MAX_DOWNLOAD_SECONDS, MAX_DOWNLOAD_BYTES
        return Send("GET", url, tuple(headers.items()), b"", *limits)

    def without_key(self, text: str) -> str:
        """Return a text of the provider's: some repeat a key that they refuse, and no error may show it."""
        return without_key(text, self._api_key)


def _origin(url: str) -> tuple[str, str]:
    scheme, _, rest = url.partition("://")
    return scheme.lower(), rest.partition("/")[0].lower()


def decoded(answer: Answer) -> Json:
    """Return a body by its content type: the bytes of a file, a list of JSON Lines, else JSON, or None."""
    media_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type.startswith(("image/", "video/", "audio/")) or media_type == "application/octet-stream":
        return answer.body
    try:
        if media_type in JSON_LINES:
            return [parse_json(line) for line in answer.body.splitlines() if line.strip()]
        return parse_json(answer.body)
    except ValueError:
        return None


def answer_scope(
    answer: Answer, body: Json, request: Draft | None = None, given: dict[str, Json] | None = None
) -> dict[str, Any]:
    """Return what conditions may look at: the answer, the request, and what is known of the job."""
    request = request or Draft()
    headers = {"accept": ACCEPT, **dict(request.headers)}
    return {
        "statusCode": answer.status,
        "response": {"body": body, "header": answer.headers},
        "request": RequestView(request.body, request.query, headers, request.path),
        "job": {"input": given},
    }


def succeeded(view: View, answer: Answer, scope: Mapping[str, Any]) -> bool:
    """Say whether an answer is one that a view could be: by its HTTP status, and by the contract's criterion."""
    fits = 200 <= answer.status < 300 or answer.status in view.statuses
    return fits and (view.success is None or view.success.holds(scope))


def retry_after(answer: Answer) -> float | None:
    """Return the Retry-After of an answer in seconds, given as seconds or as an HTTP date (RFC 9110, 10.2.3)."""
    text = answer.headers.get("retry-after", "").strip()
    if not text:
        return None
    if text.isdecimal():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)  # an HTTP date is always in GMT
    return max(moment.timestamp() - answer.at, 0.0)
