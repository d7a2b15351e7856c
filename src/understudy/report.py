"""What comes of a run: each exchange, the jobs and their end, the money, and what would not have worked."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any, NamedTuple

from understudy.call import decoded
from understudy.contract.codecs import CodecError, parse_json
from understudy.contract.expressions import Expression, Place, first_value
from understudy.contract.model import JobType
from understudy.contract.operations import Operation, key_in
from understudy.errors import nearest, suggestion
from understudy.journal import Attempt, short
from understudy.lifecycle import Json
from understudy.provider import Provider
from understudy.reach import NOT_SENT
from understudy.roster import Role, Roster
from understudy.store import account_name
from understudy.wire import Answered, Reply, Request, RequestView, Severed, Stream

#: Exchanges that are kept; the oldest go first.
MAX_EXCHANGES = 10_000

#: Different breaches that are kept; the first ones.
MAX_BREACHES = 100

# So much of a provider's own words is shown.
_WORDS = 300


@dataclass(frozen=True, slots=True)
class Met:
    """A request to a provider, and what it was answered.

    Attributes:
        at: When, in unix seconds of the fakes' clock.
        provider: Whose it was.
        method: In capitals.
        url: Without its query, where keys may be.
        operation: The operationId, or None for a path that leads nowhere.
        status: The HTTP status of the answer, or None where there was none.
        error: The named error, where it was one.
        jobs: The ids of the jobs that it was about.
    """

    at: float
    provider: str
    method: str
    url: str
    operation: str | None
    status: int | None
    error: str | None
    jobs: tuple[str, ...]

    def __str__(self) -> str:
        answer = "no answer" if self.status is None else " ".join(filter(None, (str(self.status), self.error)))
        jobs = f", job {', '.join(map(short, self.jobs))}" if self.jobs else ""
        return f"{self.method} {self.url}: {answer}{jobs}"


@dataclass(frozen=True, slots=True)
class Breach:
    """What the real provider would not have let pass either.

    Attributes:
        what: What happened.
        where: In which operation of which provider.
        expected: What the contract says.
        got: What came.
        do: What to do about it.
    """

    what: str
    where: str
    expected: str
    got: str
    do: str

    def __str__(self) -> str:
        return f"{self.what}\n  where: {self.where}\n  expected: {self.expected}; got: {self.got}\n  do: {self.do}"


class _Asked(NamedTuple):
    """A request that was answered by an error."""

    provider: Provider
    request: Request
    operation: Operation | None
    path: dict[str, str]
    reply: Reply
    id_at: str | None

    @property
    def job_type(self) -> JobType:
        return self.provider.contract.job_type_of(self.operation.id if self.operation else "")

    @property
    def account(self) -> str:
        """The name of the account whose key was sent."""
        securities = self.operation.security if self.operation is not None else ()
        return account_name(key_in(securities, self.request.header, self.request.parameters) or "")

    def ids(self) -> Iterator[tuple[str, Json]]:
        """Return what the operation calls the id of a job, and what was sent as such."""
        kind = self.job_type
        for part in kind.about_a_job.values():
            if part is not None and self.operation is not None and part.operation == self.operation.id:
                named = [item.pointer or item.path for item in part.id if isinstance(item, Expression)]
                yield named[0][-1], self.sent(part.id)

    def sent(self, place: Place) -> Json:
        """Return what was sent at a place; None where that cannot be read."""
        assert self.operation is not None
        try:
            body = decoded(self.request, self.operation)
            view = RequestView(body, self.request.parameters, self.request.header, self.path)
            return first_value(place, {"request": view})
        except (Answered, CodecError):
            return None


class Report:
    """Keeps what happens, and tells of it.

    Args:
        roster: The providers.
    """

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._met: deque[Met] = deque(maxlen=MAX_EXCHANGES)
        self._breaches: Counter[Breach] = Counter()
        self._id_at: dict[str, str] = {}  # provider → where the reply to a create has the id

    def note(self, role: Role, request: Request, outcome: Reply | Stream | Severed) -> None:
        """Keep a request and its answer: see `understudy.proxy.Told`."""
        reply = outcome if isinstance(outcome, Reply) else None
        status = reply.status if reply else None if isinstance(outcome, Severed) else 200
        jobs = () if isinstance(outcome, Stream) else outcome.jobs
        url = f"{request.header.get('host', '')}{request.path}"
        error = reply.error if reply else None
        self._met.append(
            Met(self._roster.clock.now(), role.name, request.method, url, outcome.operation, status, error, jobs)
        )
        provider = role.provider
        if reply is None:
            return
        if error is None and jobs and role.name not in self._id_at:
            place = _place_of(_json(reply.body), jobs[0])
            if place is not None:
                self._id_at[role.name] = place
        routed = provider.contract.router.find(request.method, request.path, request.host)
        operation, path = (None, {}) if routed is None else (routed.operation, dict(routed.path))
        asked = _Asked(provider, request, operation, path, reply, self._id_at.get(role.name))
        for expected, got, do in _BREACHES.get(error or "", _none)(asked):
            where = f"{provider.contract.name}, {operation.id if operation else 'no operation'}"
            breach = Breach(f"{error}: {request.method} {url}", where, expected, got, do)
            if breach in self._breaches or len(self._breaches) < MAX_BREACHES:
                self._breaches[breach] += 1

    # --- what came of it ---

    def data(self, refused: Counter[str], distrusted: Counter[str], status: int) -> dict[str, Any]:
        """Return all of it as JSON.

        Args:
            refused: Hosts that nobody could reach, and how often they were asked for.
            distrusted: Hosts at which a client broke TLS off, and how often.
            status: The exit status of the command.
        """
        return {
            "exit_status": status,
            "exchanges": [asdict(met) for met in self._met],
            "jobs": [job for role in self._roster.playing() for job in _jobs(role)],
            "money": [money for role in self._roster.playing() for money in _money(role)],
            "refused": dict(refused),
            "distrusted": dict(distrusted),
            "breaches": [{**asdict(breach), "times": times} for breach, times in self._all_breaches().items()],
        }

    def text(self, refused: Counter[str], distrusted: Counter[str], option_for: Callable[[str], str]) -> str:
        """Return the same for people; equal exchanges in a row are one line."""
        met, breaches = tuple(self._met), self._all_breaches()
        began = met[0].at if met else 0.0
        lines = [f"understudy: {_count(met, 'exchange')}, {_count(breaches, 'breach', 'es')}"]
        for said, group in groupby(met, key=str):
            first, *others = group
            lines.append(f"{first.at - began:8.1f} s  {said}{_times(1 + len(others))}")
        for role in self._roster.playing():
            for job in _jobs(role):
                cost = "" if job["spent"] is None else f", {job['spent']:g} {role.provider.contract.job_type.unit}"
                lines.append(f"  job       {role.name} {job['id']} {job['model']}: {job['state']}{cost}")
        for money in (money for role in self._roster.playing() for money in _money(role)):
            dollars = "" if money["usd"] in (None, money["spent"]) else f", ${money['usd']:.2f}"
            lines.append(f"  money     {money['provider']}: {money['spent']:g} {money['unit']}{dollars}")
        lines += [
            f"  refused   {host}{_times(times)}: {option_for(host)} lets it through" for host, times in refused.items()
        ]
        lines += [
            f"  distrust  {host}{_times(times)}: a client broke TLS off; it may not read SSL_CERT_FILE and the like"
            for host, times in distrusted.items()
        ]
        lines += [f"{breach}{_times(times)}" for breach, times in breaches.items()]
        return "\n".join(lines)

    def _all_breaches(self) -> Counter[Breach]:
        lost = Counter(breach for role in self._roster.playing() for breach in _lost(role))
        return self._breaches + lost


def _times(times: int) -> str:
    return f" ({times} times)" if times > 1 else ""


def _count(things: Sequence[Any] | Counter[Breach], name: str, plural: str = "s") -> str:
    return f"{len(things)} {name}{plural if len(things) != 1 else ''}"


def _jobs(role: Role) -> Iterator[dict[str, Any]]:
    for play in tuple(role.provider.plays.values()):
        job = play.job
        spent = job.cost if job.spent is None else job.spent
        told = {"id": job.id, "model": job.model, "state": job.state, "status": job.status, "spent": spent}
        yield {"provider": role.name, **told, "error": job.error.message if job.error else None}


def _money(role: Role) -> Iterator[dict[str, Any]]:
    job_type = role.provider.contract.job_type
    spent = sum(account.ledger.spent for account in role.provider.accounts.values())
    if spent:
        usd = None if job_type.usd_per_unit is None else spent * job_type.usd_per_unit
        yield {"provider": role.name, "spent": spent, "unit": job_type.unit, "usd": usd}


def _lost(role: Role) -> Iterator[Breach]:
    last = {(entry.job_id, entry.url): entry for entry in role.provider.journal if isinstance(entry, Attempt)}
    for entry in last.values():
        if not entry.delivered:
            answer = entry.note if entry.status is None else f"HTTP {entry.status}"
            sent = not entry.note.startswith(NOT_SENT)
            yield Breach(
                f"a callback was not {'taken' if sent else 'sent'}: {entry.url}",
                f"{role.name}, job {entry.job_id}, attempt {entry.attempt}",
                "a receiver on this machine, and an answer that counts as delivered",
                answer,
                "mend the receiver" if sent else "give a callback URL on this machine",
            )


# --- breaches: what was expected, what came, what to do --------------------------------------------------------------

_Told = Iterator[tuple[str, str, str]]


def _none(asked: _Asked) -> _Told:
    yield from ()


def _wrong_id(asked: _Asked) -> _Told:
    for name, value in asked.ids():
        got = f"no {name}" if value is None else f"{name}={value}"
        play = asked.provider.plays.get(str(value))
        if play is not None:
            if play.account.name != asked.account:  # or it is the story that it is not found
                yield "a job of the key that asks", got, "ask with the key that the job was made with"
        elif asked.id_at is None:
            yield "the id of a job", got, "make a job, and take the id from the reply"
        else:
            at = asked.id_at
            top = "" if at.isidentifier() else ", not at the top"
            yield f"the id that the reply to the create has at `{at}`{top}", got, f"read `{at}` of that reply"


def _wrong_path(asked: _Asked) -> _Told:
    known = [f"{operation.method} {operation.route}" for operation in asked.provider.contract.operations.values()]
    got = f"{asked.request.method} {asked.request.path}"
    close = nearest(got, known)
    yield "an operation of the contract", got, f"perhaps {close}" if close else f"there is: {', '.join(known)}"


def _no_key(asked: _Asked) -> _Told:
    for security in asked.operation.security[:1] if asked.operation is not None else ():
        key = security.key_in(asked.request.header, asked.request.parameters)
        form = f"the {security.place} `{security.name}`{f' with `{security.scheme} KEY`' if security.scheme else ''}"
        yield form, "no key" if key is None else "a key that is refused", f"send a key in {form}"


def _wrong_model(asked: _Asked) -> _Told:
    for create in asked.job_type.creates:
        if asked.operation is not None and asked.operation.id in create.operations:
            model = str(asked.sent(create.model))
            if model not in asked.job_type.models:  # or it is the story that it is refused
                yield "a model of the contract", f'"{model}"', suggestion(model, asked.job_type.models)


def _wrong_type(asked: _Asked) -> _Told:
    if asked.operation is not None and asked.operation.body is not None:
        types = " or ".join(asked.operation.body.media_types)
        got = asked.request.header.get("content-type", "none")
        yield f"the content type {types}", got, f"send `Content-Type: {types}`"


def _wrong_input(asked: _Asked) -> _Told:
    if any(value is None for _, value in asked.ids()):
        yield from _wrong_id(asked)
        return
    words = " ".join(asked.reply.body.decode(errors="replace").split())[:_WORDS]
    yield "what the contract says of this operation", words, "mend the request"


_BREACHES = {
    "notFound": _wrong_id,
    "unknownPath": _wrong_path,
    "methodNotAllowed": _wrong_path,
    "unauthorized": _no_key,
    "unknownModel": _wrong_model,
    "unsupportedMediaType": _wrong_type,
    "invalid": _wrong_input,
    "malformed": _wrong_input,
    "tooLarge": _wrong_input,
}


def _json(body: bytes) -> Json:
    try:
        return parse_json(body)
    except ValueError:
        return None


def _place_of(value: Json, wanted: str, at: str = "") -> str | None:
    """Return where something stands in JSON, such as `data.items[0].id`."""
    if value == wanted:
        return at
    inner: Iterable[tuple[str, Json]] = ()
    if isinstance(value, dict):
        inner = ((f"{at}.{key}" if at else key, item) for key, item in value.items())
    elif isinstance(value, list):
        inner = ((f"{at}[{index}]", item) for index, item in enumerate(value))
    return next((found for place, item in inner if (found := _place_of(item, wanted, place)) is not None), None)
