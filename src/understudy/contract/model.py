"""A contract, compiled: plain data that the fake and the client read; the manual of the format explains each part.

Most parts are named tuples, not dataclasses: Python makes the class of one in a sixth of the time, and start-up counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from understudy.contract.catalogue import Catalogue
from understudy.contract.conditions import Condition
from understudy.contract.creates import Create
from understudy.contract.endings import Ending
from understudy.contract.expressions import Expression, Place
from understudy.contract.frames import Events
from understudy.contract.loader import Document
from understudy.contract.operations import Operation, Router, Security
from understudy.contract.pages import Paging
from understudy.contract.templates import Template, Text
from understudy.contract.views import View, Words
from understudy.lifecycle import Json, State
from understudy.reach import host_of


class Pace(NamedTuple):
    """Poll every so often until so long after the create; None is for ever."""

    until_seconds: float | None
    every_seconds: float


class Status(NamedTuple):
    """The operation that tells how a job is."""

    operation: str
    id: Place
    link: Template | None
    reply: View
    invisible_error: str | None
    invisible_seconds: float
    poll: tuple[Pace, ...]
    give_up_seconds: float | None

    def every_seconds(self, elapsed: float) -> float | None:
        """Return the documented pause between polls so long after the create, or None where there is none."""
        for pace in self.poll:
            if pace.until_seconds is None or elapsed < pace.until_seconds:
                return pace.every_seconds
        return self.poll[-1].every_seconds if self.poll else None


class Result(NamedTuple):
    """The operation that gives what came of a job; with `minted`, by an id of its own, which the status tells."""

    operation: str
    id: Place
    link: Template | None
    minted: str | None
    reply: View


class Filter(NamedTuple):
    """A list shows what equals the request's value, or one of `otherwise` when the request has none."""

    by: Expression
    value: Place
    otherwise: tuple[Json, ...] | None


class Listing(NamedTuple):
    """The operation that lists jobs."""

    operation: str
    filters: tuple[Filter, ...]
    reply: View
    paging: Paging | None


class Sign(NamedTuple):
    """How a callback is signed; `separator` stands between several signatures, `jwks` is where the keys are."""

    when: Condition | None
    algorithm: Literal["hmac-sha256", "ed25519", "secret"]
    key: Expression
    message: Text
    encoding: Literal["base64", "base64url", "hex", "text"]
    headers: tuple[tuple[str, Template], ...]
    separator: str | None
    tolerance_seconds: float
    jwks: str | None


#: Where a reading has the challenge of a handshake.
CHALLENGE = ("delivery", "challenge")


class Handshake(NamedTuple):
    """What is sent before the first callback of a job, and how it has to be answered."""

    body: Template
    reply: Template
    timeout_seconds: float


class Callback(NamedTuple):
    """What the provider sends by itself; `only` is where a create lists the events that it wants."""

    trigger: Mapping[State, str | None]
    account: bool
    handshake: Handshake | None
    only: Place
    view: View
    headers: tuple[tuple[str, Template], ...]
    named_headers: tuple[tuple[Text, Template], ...]
    sign: Sign | None
    timeout_seconds: float
    delivered: Condition | None
    retry_after_seconds: tuple[float, ...]


class Renew(NamedTuple):
    """The operation that makes a fresh link to a result file."""

    operation: str
    url: Place
    lifetime_seconds: float
    reply: View


class Assets(NamedTuple):
    """Where result files come from."""

    url: Text
    lifetime_seconds: float | None
    needs_key: bool
    expired: str
    renew: Renew | None


class Failure(NamedTuple):
    """A way in which a job fails: `refund` is the share of the cost that comes back, the last two are its result's."""

    name: str
    code: str | int | None
    message: Template
    refund: float
    http: int | None = None
    headers: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What the document says of a model."""

    id: str
    schema: Json
    title: str | None
    description: str | None
    defaults: Mapping[str, Json]


class ModelOperation(NamedTuple):
    """An operation about the models; `model` is where one of them is named, None for the list."""

    operation: str
    model: Place | None
    reply: View


class Upload(NamedTuple):
    """Operations that take a file."""

    operations: tuple[str, ...]
    content: Place
    name: Place
    folder: Place
    url: Text
    lifetime_seconds: float | None
    reply: View


class Rate(NamedTuple):
    """At most `most` requests to any of `operations` in `per_seconds`, by account."""

    operations: frozenset[str]
    most: int
    per_seconds: float


class Price(NamedTuple):
    """What a job costs when `when` holds: the amount, for each of the number at `per`."""

    when: Condition | None
    amount: float
    per: Place


class Retention(NamedTuple):
    """How long after its end a job and its data are kept; then it is expired, or not there."""

    job_seconds: float | None
    data_seconds: float | None
    expires: bool


#: The parts that ask about one job by its id.
AboutAJob = Status | Result | Ending | Events


class JobType(NamedTuple):
    """One kind of job: an entry of `x-jobs`."""

    name: str
    id: Text
    chosen_id: tuple[Expression, ...]
    words: Words
    success: Condition | None
    creates: tuple[Create, ...]
    status: Status | None
    result: Result | None
    cancel: Ending | None
    delete: Ending | None
    listing: Listing | None
    events: Events | None
    callback: Callback | None
    outputs: Template | None
    assets: Assets | None
    errors: Catalogue
    failures: Mapping[str, Failure]
    models: Mapping[str, ModelInfo]
    model_operations: tuple[ModelOperation, ...]
    replies: Mapping[str, View]
    uploads: tuple[Upload, ...]
    rates: tuple[Rate, ...]
    concurrent_jobs: int | None
    unit: str
    usd_per_unit: float | None
    prices: tuple[Price, ...]
    retention: Retention

    def with_defaults(self, model: str | None, given: dict[str, Json] | None) -> dict[str, Json]:
        """Return an input with the defaults of its model filled in."""
        info = self.models.get(model or "")
        return {**(info.defaults if info else {}), **(given or {})}

    @property
    def parts(self) -> frozenset[str]:
        """The parts of `x-jobs` that there are."""
        own = {name for name, part in (("assets", self.assets), ("callback", self.callback)) if part is not None}
        return frozenset({*self.operation_ids().values(), *own})

    @property
    def about_a_job(self) -> dict[str, AboutAJob]:
        """The parts that there are which ask about one job by its id, by name; the last of one operation names it."""
        parts = {name: getattr(self, name) for name in ("status", "result", "delete", "cancel", "events")}
        return {name: part for name, part in parts.items() if part is not None}

    def endings(self, operation: str) -> tuple[Ending, ...]:
        """Return what an operation does with a job: stop it, remove it, or either, by the state of the job."""
        return tuple(way for way in (self.cancel, self.delete) if way is not None and way.operation == operation)

    def operation_ids(self) -> dict[str, str]:
        """Return the operations of this kind of job, and the part of `x-jobs` that each belongs to."""
        ids = {operation: "create" for create in self.creates for operation in create.operations}
        for part, value in (
            *self.about_a_job.items(),
            ("list", self.listing),
            ("renew", self.assets.renew if self.assets else None),
        ):
            if value is not None:
                ids[value.operation] = part
        if self.callback is not None and self.callback.sign is not None and self.callback.sign.jwks is not None:
            ids[self.callback.sign.jwks] = "jwks"
        ids.update((entry.operation, "models") for entry in self.model_operations)
        ids.update((operation, "replies") for operation in self.replies)
        ids.update((operation, "files") for upload in self.uploads for operation in upload.operations)
        return ids


@dataclass(frozen=True)
class Contract:
    """What a provider promises.

    Attributes:
        name: The provider, as its folder is called.
        folder: Where it was read from.
        document: The OpenAPI document.
        operations: operationId → operation.
        router: Finds the operation of a request.
        job_types: Name → kind of job.
    """

    name: str
    folder: Path
    document: Document
    operations: Mapping[str, Operation]
    router: Router = field(repr=False)
    job_types: Mapping[str, JobType]

    @property
    def job_type(self) -> JobType:
        """The first kind of job, which a client means unless told otherwise."""
        return next(iter(self.job_types.values()))

    def job_type_of(self, operation: str) -> JobType:
        """Return the kind of job that an operation belongs to; the first where none claims it."""
        for job_type in self.job_types.values():
            if operation in job_type.operation_ids():
                return job_type
        return self.job_type

    @property
    def tells_accounts(self) -> bool:
        """Whether callbacks can go to an address of the account."""
        return any(kind.callback is not None and kind.callback.account for kind in self.job_types.values())

    @cached_property
    def securities(self) -> tuple[Security, ...]:
        """The ways in which its operations take a key."""
        return tuple(dict.fromkeys(entry for operation in self.operations.values() for entry in operation.security))

    @cached_property
    def servers(self) -> tuple[str, ...]:
        """The URLs of all servers, the main one first."""
        return tuple(dict.fromkeys(operation.server for operation in self.operations.values()))

    @cached_property
    def base_path(self) -> str:
        """The path of the URL of its main server, such as `/v1`; empty where it has none."""
        return urlsplit(self.servers[0]).path

    @cached_property
    def hosts(self) -> tuple[str, ...]:
        """The hosts of the provider: those of its API and those of its files."""
        hosts = [host_of(server) for server in self.servers]
        for job_type in self.job_types.values():
            urls = [] if job_type.assets is None else [job_type.assets.url]
            urls += [upload.url for upload in job_type.uploads]
            hosts += [host_of(str(url.parts[0])) for url in urls]
        return tuple(dict.fromkeys(hosts))
