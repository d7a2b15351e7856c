"""The twin: a fake in this process that is asked what the provider was asked.

Each answer is held against its own as a recording is (`playback`): the contract's templates say what is compared how.
The twin goes along in time: before a status is compared it moves on until its job is where the provider's is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from understudy.behaviour import Behaviour
from understudy.bodies import Malformed, decode_body
from understudy.clock import VirtualClock
from understudy.comparison import Difference
from understudy.contract.loader import Document
from understudy.contract.model import Contract
from understudy.contract.operations import Operation
from understudy.contract.views import View
from understudy.exchange import Answer
from understudy.exchange import decoded as decoded_answer
from understudy.lifecycle import Json, State
from understudy.playback import Player
from understudy.probes import decoded, schema_of, views_of
from understudy.provider import Provider
from understudy.reach import host_of
from understudy.verify.findings import BY_WHAT, Found, Grade
from understudy.wire import Outcome, Reply, Request, RequestView

_AT = ("answer",)


class Twin:
    """A twin of a provider.

    Args:
        contract: What the provider promises.
        behaviour: How its fake acts where the contract leaves it open.
        host: The host that the provider is asked at: links of a stand-in lead there, and not to the real hosts.
    """

    def __init__(self, contract: Contract, behaviour: Behaviour, host: str) -> None:
        kinds = {name: kind._replace(rates=(), concurrent_jobs=None) for name, kind in contract.job_types.items()}
        self._contract = replace(contract, job_types=kinds)  # a twin is asked in no time
        self._behaviour = behaviour
        self._standing_in = host if host not in contract.hosts else None
        self._player = Player(self._contract, behaviour, Document(contract.document.path, {"exchanges": []}))
        self._headers = frozenset(_headers(contract))
        self._signed = frozenset(_signed(contract))

    def would_refuse(self, request: Request) -> bool:
        """Say whether a request is answered with an error that the contract has a rule for, and makes no job."""
        reply = self._alone(request)
        return isinstance(reply, Reply) and reply.error is not None and not _problem(reply) and not reply.jobs

    def would_answer(self, request: Request) -> bool:
        """Say whether a request is answered with no error, and makes no job."""
        reply = self._alone(request)
        return isinstance(reply, Reply) and reply.error is None and not reply.jobs

    def would_fail(self, request: Request) -> bool:
        """Say whether a request makes a job that fails."""
        clock = VirtualClock()
        alone = Provider(self._contract, self._behaviour, clock=clock)
        alone.handle(_copy(request))
        while any(not play.job.terminal for play in alone.plays.values()) and clock.step():
            pass
        return any(play.job.state is State.FAILED for play in alone.plays.values())

    def _alone(self, request: Request) -> Outcome:
        """Return what a provider says of which nobody has asked anything before."""
        return Provider(self._contract, self._behaviour, clock=VirtualClock()).handle(_copy(request))

    def hold(self, request: Request, answer: Answer) -> list[Found]:
        """Return where an answer is not what it should be."""
        request, compared = self._own(request), self._player.comparison
        differences, added = len(compared.differences), len(compared.added)
        routed = self._contract.router.find(request.method, request.path, request.host)
        operation = None if routed is None else routed.operation
        headers = {name: value for name, value in answer.headers.items() if name in self._headers}
        expected = {"status": answer.status, "headers": headers, "body": decoded(answer.body)}
        if operation is None or routed is None:
            reply: Reply | None = self._player.lost(request, expected, _AT)
        else:
            view = RequestView(_body(request, operation), request.parameters, request.header, routed.path)
            reply = self._player.hold(operation, request, view, expected, _AT)
        name = "" if operation is None else operation.id
        new = [one for one in compared.differences[differences:] if not self._stands_in(one)]
        if any(one.what == "schema" for one in new) and self._breaks_it(name, reply):
            new = [one for one in new if one.what != "schema"]
        found = [self._found(one, name) for one in new]
        for at in compared.added[added:]:
            found.append(Found("member-missing", "breaking", f"{_place(at)}: it is missing", name))
        if reply is not None:
            found += self._about_headers(reply, answer, name)
            if reply.error is not None:
                found = self._as_an_error(found, reply.error, name, answer)
        return found

    def hold_callback(self, headers: Mapping[str, str], body: bytes) -> list[Found]:
        """Return where a callback is not what it should be."""
        compared = self._player.comparison
        differences, added = len(compared.differences), len(compared.added)
        kept = {name: value for name, value in headers.items() if name in self._signed}
        delivery = self._player.callback({"headers": kept, "body": decoded(body)}, _AT)
        new = compared.differences[differences:]
        found = [self._found(one, "callback") for one in new if not self._stands_in(one)]
        found += [Found("member-missing", "breaking", f"{_place(at)}: it is missing") for at in compared.added[added:]]
        for name, value in delivery.headers if delivery is not None else ():
            got = headers.get(name.lower())
            if got is None and name.lower() in self._signed:
                found.append(Found("header-missing", "breaking", f"/headers/{name}: it is missing", "callback"))
            elif got is not None and name.lower() in self._signed and len(got) != len(value):
                text = f"/headers/{name}: it has {len(got)} characters, by the contract it has {len(value)}"
                found.append(Found("header-differs", "drift", text, "callback"))
        return found

    def _own(self, request: Request) -> Request:
        """Return a request with the twin's own ids."""
        path, query, body = request.path, request.query, request.body
        for real, own in self._player.ids.real.items():
            path, query, body = (
                path.replace(real, own),
                query.replace(real, own),
                body.replace(real.encode(), own.encode()),
            )
        return Request(request.method, path, query, list(request.headers), body, host=request.host)

    def _found(self, difference: Difference, operation: str) -> Found:
        text = difference.text.replace("recorded is", "the provider has").replace(
            "the fake has", "by the contract it is"
        )
        rule = "member-new" if difference.what == "member" else f"{difference.what}-differs"
        return Found(rule, BY_WHAT[difference.what], f"{_place(difference.at)}: {text}", operation)

    def _stands_in(self, difference: Difference) -> bool:
        """Say whether a difference is that the links of a stand-in lead to itself."""
        return difference.what in ("link", "text") and host_of(str(difference.recorded)) == self._standing_in

    def _breaks_it(self, operation: str, reply: Reply | None) -> bool:
        """Say whether the document's own schema does not take what the contract has it answered with either."""
        schema = None if reply is None else schema_of(self._contract, operation, reply.status)
        return reply is not None and schema is not None and any(schema.violations(decoded(reply.body)))

    def _about_headers(self, reply: Reply, answer: Answer, operation: str) -> Iterator[Found]:
        sent = {name.lower(): value for name, value in reply.headers}
        for name in sorted(self._headers & (sent.keys() - answer.headers.keys())):
            yield Found("header-missing", "breaking", f"/headers/{name}: it is missing", operation)
        wanted, got = (_media_type(headers.get("content-type", "")) for headers in (sent, answer.headers))
        if wanted and wanted != got:
            text = f"/headers/content-type: the provider has {got or 'none'}, by the contract it is {wanted}"
            yield Found("media-type-differs", "breaking", text, operation)

    def _as_an_error(self, found: list[Found], error: str, operation: str, answer: Answer) -> list[Found]:
        """Return what was found in an error, which is milder where a client takes it for the same error."""
        catalogue = self._contract.job_type_of(operation).errors
        read = catalogue.recognise(operation, answer.status, decoded_answer(answer))
        if read.rule is None or read.rule.name != error:
            return found
        milder: Grade = "drift"
        return [one._replace(grade=milder) if one.grade == "breaking" else one for one in found]


def _headers(contract: Contract) -> Iterator[str]:
    """Yield the names of the headers that the contract knows of, in lower case."""
    for kind in contract.job_types.values():
        views: list[View] = [view for _, view in views_of(kind)]
        rules = [rule for rules in kind.errors.rules.values() for rule in rules]
        pairs = [pair for part in views for pair in part.headers] + [pair for rule in rules for pair in rule.headers]
        yield from (name.lower() for name, _ in pairs)


def _signed(contract: Contract) -> Iterator[str]:
    """Yield the names of the headers of callbacks, in lower case."""
    for kind in contract.job_types.values():
        if kind.callback is not None:
            sign = kind.callback.sign.headers if kind.callback.sign is not None else ()
            yield from (name.lower() for name, _ in (*kind.callback.headers, *sign))


def _copy(request: Request) -> Request:
    return replace(request, headers=list(request.headers))


def _body(request: Request, operation: Operation) -> Json:
    content_type = request.header.get("content-type", "")
    media_type = content_type.partition(";")[0].strip().lower()
    if operation.body is None or media_type not in operation.body.media_types:
        return None
    try:
        return decode_body(media_type, content_type, request.body, operation.body.fields)
    except Malformed:
        return None


def _place(at: tuple[str | int, ...]) -> str:
    return "/" + "/".join(map(str, at[2:] if at[:2] == ("answer", "response") else at[1:]))


def _media_type(text: str) -> str:
    return text.partition(";")[0].strip().lower()


def _problem(reply: Reply) -> bool:
    return ("content-type", "application/problem+json") in reply.headers
