"""Sequences: what was seen, told by the contract's own operations, one after the other for each job."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from understudy.bodies import Malformed, decode_body
from understudy.contract.expressions import first_value
from understudy.contract.frames import recognise
from understudy.contract.model import Contract, JobType
from understudy.contract.operations import Operation, key_in
from understudy.contract.reading import ReadError
from understudy.contract.views import Read, View, prefixes
from understudy.lifecycle import Json
from understudy.probes import decoded, views_of
from understudy.record.tape import Called, Seen, Tape, event_of
from understudy.wire import RequestView


@dataclass(slots=True)
class Step:
    """One thing that was seen, as the contract tells it.

    Attributes:
        at: When, in unix seconds; None where nobody knows.
        kind: The kind of job.
        part: The part of `x-jobs`: `create`, `status`, …; `callback`, `event`; empty for an operation of no part.
        body: What came: the answer, the body of a callback, the data of an event.
        ids: The jobs that it is about.
        read: What a view read in it; None where none could.
        operation: Which was asked, where one was.
        request: What it was asked.
        seen: How it was seen, where it was a request.
        headers: What came with it.
        event: The name of the event.
    """

    at: float | None
    kind: JobType
    part: str
    body: Json
    ids: tuple[str, ...] = ()
    read: Read | None = None
    operation: Operation | None = None
    request: RequestView | None = None
    seen: Seen | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    event: str = ""


class File(NamedTuple):
    """A result file that was fetched."""

    at: float
    ids: tuple[str, ...]
    status: int
    media_type: str
    size: int


@dataclass(slots=True)
class Told:
    """All that was seen.

    Attributes:
        steps: By the time at which they came.
        files: The result files that were fetched.
        strangers: What the contract has no path for, as method and path.
        keys: The keys that were sent, and whatever else is a secret because of where it stood.
        callback_urls: Where callbacks were asked to go.
    """

    steps: list[Step] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    callback_urls: set[str] = field(default_factory=set)

    @property
    def ids(self) -> list[str]:
        """The ids of all jobs, in the order in which they were told of."""
        return list(dict.fromkeys(job_id for step in self.steps for job_id in step.ids))


def tell(contract: Contract, tape: Tape, upstream: str | None) -> Told:
    """Tell what was seen by a contract.

    Args:
        contract: Whose provider it is.
        tape: What was seen.
        upstream: The base URL that stands for the contract's first server; None where its own hosts were called.
    """
    return _Teller(contract, upstream).tell(tape)


class _Teller:
    def __init__(self, contract: Contract, upstream: str | None) -> None:
        self._contract = contract
        self._upstream = None if upstream is None else urlsplit(upstream.rstrip("/"))
        self._told = Told()
        self._links: dict[str, tuple[str, ...]] = {}

    def tell(self, tape: Tape) -> Told:
        for what in tape:
            self._told.keys.update(_secrets_sent(self._contract, what))
            if isinstance(what, Called):
                self._called(what)
            else:
                self._seen(what)
        self._told.steps.sort(key=lambda step: float("inf") if step.at is None else step.at)
        return self._told

    def _called(self, called: Called) -> None:
        body = decoded(called.body)
        request = RequestView(body, {}, called.headers, {})
        steps = []
        for kind in self._contract.job_types.values():
            if kind.callback is not None:
                read = _read(kind.callback.view, body, {"request": request})
                steps.append(Step(called.at, kind, "callback", body, _ids_in(read), read, headers=called.headers))
        for step in sorted(steps, key=lambda step: not step.ids)[:1]:
            self._add(step)

    def _seen(self, seen: Seen) -> None:
        found = self._routed(seen)
        if found is None:
            self._stranger(seen)
            return
        operation, path = found
        kind = self._contract.job_type_of(operation.id)
        part = kind.operation_ids().get(operation.id, "")
        request = RequestView(
            _request_body(operation, seen), dict(parse_qsl(urlsplit(seen.url).query, keep_blank_values=True)),
            seen.headers, path,
        )  # fmt: skip
        asked = _asked_for(kind, operation, request)
        if seen.streams:
            self._frames(seen, kind, asked)
            return
        body = decoded(seen.answer)
        response = {"body": body, "header": seen.answered}
        scope = {"request": request, "response": response, "statusCode": seen.status}
        views = [view for name, view in views_of(kind) if name == operation.id]
        read = None
        if 200 <= seen.status < 300 or any(seen.status in view.statuses for view in views):
            good = (view for view in views if view.success is None or view.success.holds(scope))
            read = next((told for view in good if (told := _read(view, body, scope))), None)
        ids = asked or _ids_in(read) or self._named(request)
        if part == "create":
            for url in _callback_urls(kind, operation, request):
                self._told.callback_urls.add(url)
                self._told.keys.update(_keys_in(url))
        self._add(Step(seen.at, kind, part, body, ids, read, operation, request, seen, seen.answered))

    def _frames(self, seen: Seen, kind: JobType, asked: tuple[str, ...]) -> None:
        for at, frame in seen.frames:
            name, body = event_of(frame)
            told = None if kind.events is None else recognise(kind.events, name, body)
            ids = asked
            if told is not None and told.reading.get(("job", "id")) is not None:
                ids = (str(told.reading["job", "id"]),)
            read = None if told is None else Read(told.state, told.reading)
            self._add(Step(at, kind, "event", body, ids or self._mentioned(body), read, event=name))

    def _stranger(self, seen: Seen) -> None:
        about = self._links.get(seen.url.partition("#")[0])
        if about is not None:
            self._told.files.append(File(seen.at, about, seen.status, seen.media_type, seen.size))
        elif self._is_ours(seen):
            self._told.strangers.append(f"{seen.method} {urlsplit(seen.url).path}")

    def _add(self, step: Step) -> None:
        self._told.steps.append(step)
        for link in _links_in(step.body):
            self._links.setdefault(link.partition("#")[0], step.ids)

    # --- whose it is ----------------------------------------------------------------------------------------------

    def _is_ours(self, seen: Seen) -> bool:
        url = urlsplit(seen.url)
        mine = self._upstream
        return (url.hostname or "") in self._contract.hosts or (mine is not None and url.netloc == mine.netloc)

    def _routed(self, seen: Seen) -> tuple[Operation, dict[str, str]] | None:
        url = urlsplit(seen.url)
        router, host, paths = self._contract.router, url.hostname or "", [url.path]
        mine = self._upstream
        if mine is not None and url.netloc == mine.netloc and f"{url.path}/".startswith(f"{mine.path}/"):
            below = url.path[len(mine.path) :]
            host, paths = "", [self._contract.base_path + below, below]
        elif host not in self._contract.hosts:
            return None
        for path in paths:
            routed = router.find(seen.method, path, host)
            if routed is not None and routed.operation is not None:
                return routed.operation, dict(routed.path)
        return None

    def _named(self, request: RequestView) -> tuple[str, ...]:
        return self._mentioned([request.body, dict(request.query), dict(request.path)])

    def _mentioned(self, value: Json) -> tuple[str, ...]:
        """Return the jobs that were told of before and that a value names."""
        texts = set(_texts_in(value))
        return tuple(job_id for job_id in self._told.ids if job_id in texts)


def _asked_for(kind: JobType, operation: Operation, request: RequestView) -> tuple[str, ...]:
    for part in kind.about_a_job.values():
        if part.operation == operation.id:
            found = first_value(part.id, {"request": request})
            return () if found is None else (str(found),)
    return ()


def _callback_urls(kind: JobType, operation: Operation, request: RequestView) -> Iterator[str]:
    for group in kind.creates:
        if operation.id in group.operations:
            found = first_value(group.callback_url, {"request": request})
            if isinstance(found, str) and found:
                yield found


def _read(view: View, body: Json, scope: Mapping[str, Any]) -> Read | None:
    try:
        return view.read(body, scope)
    except ReadError:
        return None


def _ids_in(read: Read | None) -> tuple[str, ...]:
    reading = {} if read is None else read.reading
    found = (reading.get((*prefix, "id")) for prefix in prefixes(reading))
    return tuple(str(job_id) for job_id in found if job_id is not None)


def _request_body(operation: Operation, seen: Seen) -> Json:
    if not seen.body:
        return None
    content_type = seen.headers.get("content-type", "application/json")
    fields = None if operation.body is None else operation.body.fields
    try:
        body = decode_body(content_type.partition(";")[0].strip().lower(), content_type, seen.body, fields)
    except Malformed:
        body = seen.body
    return body.decode("utf-8", "replace") if isinstance(body, bytes) else body


def _texts_in(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        inner = decoded(value.encode()) if value[:1] in ("{", "[") else None
        if isinstance(inner, dict | list):
            yield from _texts_in(inner)
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _texts_in(item)


def _links_in(value: Json) -> Iterable[str]:
    return (text for text in _texts_in(value) if text.startswith(("http://", "https://")))


_REQUEST_HEADER = re.compile(r"\$request\.header\.([A-Za-z0-9-]+)")
_QUIET = re.compile(r"authorization|cookie|key$|token|secret", re.IGNORECASE)


def _secrets_sent(contract: Contract, what: Seen | Called) -> Iterator[str]:
    """Yield what is a secret because of where it stood: keys, cookies, what is before the host in a URL."""
    headers = {**what.headers, **(what.answered if isinstance(what, Seen) else {})}
    for name, value in headers.items():
        if _QUIET.search(name):
            yield value
            yield value.rpartition(" ")[2]
            if "cookie" in name:
                parts = (part.partition("=")[2] for part in value.split("; "))
                yield from (part for part in parts if not part.isalpha())
    if isinstance(what, Seen):
        yield from _user_in(what.url)
        query = dict(parse_qsl(urlsplit(what.url).query))
        yield from (
            query[entry.name] for entry in contract.securities if entry.place == "query" and entry.name in query
        )
        key = key_in(contract.securities, what.headers, query)
        if key is not None:
            yield key


def _user_in(url: str) -> Iterator[str]:
    parts = urlsplit(url)
    yield from (unquote(part) for part in (parts.username, parts.password) if part)


def _keys_in(url: str) -> Iterator[str]:
    """Yield what a receiver of callbacks may know them by."""
    try:
        yield from _user_in(url)
        yield from (value for _, value in parse_qsl(urlsplit(url).query) if not value.isalpha())  # a plain word is none
    except ValueError:  # it is no URL
        return


def header_names(contract: Contract) -> frozenset[str]:
    """Return the request headers, in lower case, that the contract asks for; none that carries a key."""
    text = repr(contract.document.data)
    keys = {entry.name.lower() for entry in contract.securities}
    return frozenset(name.lower() for name in _REQUEST_HEADER.findall(text)) - keys
