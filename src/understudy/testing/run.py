"""One run of a client under test: what was asked of it, what it did, and what it made of it."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from understudy.contract.catalogue import Transport
from understudy.contract.model import Contract
from understudy.errors import ClockExhausted
from understudy.journal import Entry, Exchange
from understudy.lifecycle import Job, State
from understudy.testing.endpoint import Endpoint


@dataclass(frozen=True)
class Situation:
    """What a client is put into.

    Attributes:
        text: What happens, as a person would tell it.
        faults: What goes wrong: for `Fake.fault`.
        job: How the job goes: for `Fake.next_job`.
        transport: How errors come; None for the contract's default.
    """

    text: str
    faults: tuple[dict[str, Any], ...] = ()
    job: dict[str, Any] = field(default_factory=dict)
    transport: Transport | None = None


@dataclass(frozen=True)
class Given:
    """One callback that was given to the client: the status that its answer stands for, and what it said."""

    status: int
    said: str

    @property
    def taken(self) -> bool:
        """Whether the client took it."""
        return 200 <= self.status < 300


@dataclass
class Run:
    """What was seen of one run.

    Attributes:
        contract: The provider's.
        situation: What the client was put into.
        request: What it was to ask for.
        endpoint: What it was given.
        journal: Requests, transitions, callbacks and faults, as they came.
        timeline: The same as text.
        jobs: The jobs that there are, by id.
        files: The result files by URL: those of the jobs that succeeded.
        began: When the client was called, in unix seconds.
        ended: When it returned.
        value: What it returned.
        error: What it raised.
        log: What was logged meanwhile.
        given: The callbacks.
    """

    contract: Contract
    situation: Situation
    request: dict[str, Any]
    endpoint: Endpoint
    journal: Sequence[Entry] = ()
    timeline: str = ""
    jobs: dict[str, Job] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    began: float = 0.0
    ended: float = 0.0
    value: Any = None
    error: BaseException | None = None
    log: str = ""
    given: list[Given] = field(default_factory=list)

    @property
    def exchanges(self) -> list[Exchange]:
        """The requests of the client."""
        return [entry for entry in self.journal if isinstance(entry, Exchange)]

    @property
    def creates(self) -> list[Exchange]:
        """The requests that were to make a job."""
        names = {name for create in self.contract.job_type.creates for name in create.operations}
        return [entry for entry in self.exchanges if entry.operation in names]

    @property
    def polls(self) -> list[Exchange]:
        """The requests that asked how the job is."""
        status = self.contract.job_type.status
        return [entry for entry in self.exchanges if status is not None and entry.operation == status.operation]

    @property
    def endless(self) -> bool:
        """Whether it had to be stopped."""
        return isinstance(self.error, ClockExhausted)

    @property
    def returned(self) -> bool:
        """Whether the client told of a success."""
        return self.error is None

    def results(self) -> list[str | bytes]:
        """Return what the client returned, as a list."""
        return list(_flat(self.value))

    @property
    def is_right(self) -> bool:
        """Whether the client returned what was made: the links to it, or the files, in their order."""
        made = [*self.files]
        if not made:  # what is no file cannot be compared
            return self.returned and any(job.state is State.SUCCEEDED for job in self.jobs.values())
        return self.returned and self.results() in (made, [self.files[url] for url in made])

    def outcome(self) -> str:
        """Return what came of the run, in a few words."""
        if self.endless:
            return "it never came to an end"
        if self.error is not None:
            return f"it raised {type(self.error).__name__}: {_short(str(self.error))}{_origin(self.error)}"
        return f"it returned {_short(repr(self.value))}"

    def told(self) -> Iterator[tuple[str, str]]:
        """Return all that the client let out beside its value: what it is, and its text."""
        yield "the log", self.log
        error = self.error
        while error is not None:
            name = type(error).__name__
            yield f"the text of {name}", str(error)
            yield f"the repr of {name}", repr(error)
            error = error.__cause__ or error.__context__


def _origin(error: BaseException) -> str:
    """Return where an error was raised, as far as that is in code that may be the client's own."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages" not in frame.filename and _HERE not in frame.filename]
    return f" ({Path(own[-1].filename).name}:{own[-1].lineno})" if own else ""


_HERE = str(Path(__file__).parents[1])


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _flat(item)
    else:
        yield str(value) if not isinstance(value, bytes | bytearray | memoryview) else bytes(value)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 160 else f"{line[:159]}…"
