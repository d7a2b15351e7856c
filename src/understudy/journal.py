"""The journal: what happened, in order, bounded, and without secrets."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlencode

from understudy.lifecycle import Json, State, worded

#: Entries that are kept; the oldest go first.
MAX_ENTRIES = 10_000

#: More of a body than this is not kept.
MAX_BODY_BYTES = 16 * 1024


# Entries are written all the time, and one that is frozen takes three times as long to write.


@dataclass(slots=True)
class Exchange:
    """A request and its answer.

    Attributes:
        at: When, in unix seconds.
        account: A name for the key that was sent; never the key.
        method: In capitals.
        path: Below the provider.
        operation: The operationId, or None for a path that leads nowhere.
        status: The HTTP status of the answer, or None where there was none.
        error: The named error, where it was one.
        jobs: The ids of the jobs that it was about.
        request_body: What was sent.
        reply_body: What was answered.
        parameters: What of the query the operation declares; never the key.
        scenario: The story that was played to it; None for the usual.
    """

    at: float
    account: str
    method: str
    path: str
    operation: str | None
    status: int | None
    error: str | None
    jobs: tuple[str, ...]
    request_body: bytes
    reply_body: bytes
    parameters: Sequence[tuple[str, str]] = ()
    scenario: str | None = None

    @property
    def query(self) -> str:
        """The parameters, encoded."""
        return urlencode(self.parameters)


@dataclass(slots=True)
class Transition:
    """A job entered a state.

    Attributes:
        at: When, in unix seconds.
        job_id: Which job.
        state: The state.
        status: The wire word.
        before: The state that it was in; None where it has just been made.
        failure: The contract's name of the failure that it ended with.
    """

    at: float
    job_id: str
    state: State
    status: Json
    before: State | None = None
    failure: str | None = None


class Attempt(NamedTuple):
    """One attempt to deliver a callback.

    Attributes:
        at: When, in unix seconds.
        job_id: The job that it told of.
        url: Where to, without query and user.
        attempt: From 1.
        status: The HTTP status of the answer, or None when there was none.
        delivered: Whether it counts as delivered.
        note: Why not, where it does not.
        signed: Whether it carried a signature.
    """

    at: float
    job_id: str
    url: str
    attempt: int
    status: int | None
    delivered: bool
    note: str = ""
    signed: bool = False


class Struck(NamedTuple):
    """A fault struck.

    Attributes:
        at: When, in unix seconds.
        fault: Its name.
        on: The part of `x-jobs` that it struck.
        job_id: The job that it was about, where that is known.
    """

    at: float
    fault: str
    on: str
    job_id: str | None


Entry = Exchange | Transition | Attempt | Struck


class Journal:
    """What happened, oldest first.

    Args:
        max_entries: How many entries are kept.

    Attributes:
        listeners: Each is told of each entry when it is written.
    """

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        self.listeners: list[Callable[[Entry], None]] = []
        self._entries: deque[Entry] = deque(maxlen=max_entries)

    def add(self, entry: Entry) -> None:
        """Write an entry."""
        self._entries.append(entry)
        for listener in self.listeners:
            listener(entry)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def timeline(self) -> str:
        """Return all of it as text, one line for each entry: requests, states, deliveries and faults, as they came."""
        entries = list(self)
        began = entries[0].at if entries else 0.0
        rows = [(f"{entry.at - began:8.1f} s", *described(entry)) for entry in entries]
        return "\n".join(f"{at}  {who:<9} {what}" for at, who, what in rows)

    @property
    def exchanges(self) -> list[Exchange]:
        """The requests and their answers."""
        return [entry for entry in self if isinstance(entry, Exchange)]

    @property
    def transitions(self) -> list[Transition]:
        """The states that jobs entered."""
        return [entry for entry in self if isinstance(entry, Transition)]

    @property
    def attempts(self) -> list[Attempt]:
        """The attempts to deliver callbacks."""
        return [entry for entry in self if isinstance(entry, Attempt)]

    @property
    def faults(self) -> list[Struck]:
        """The faults that struck."""
        return [entry for entry in self if isinstance(entry, Struck)]


def kept(body: bytes) -> bytes:
    """Return as much of a body as the journal keeps."""
    return body[:MAX_BODY_BYTES]


def described(entry: Entry) -> tuple[str, str]:
    """Return who did something, and what."""
    match entry:
        case Exchange():
            jobs = f" → job {', '.join(map(short, entry.jobs))}" if entry.jobs else ""
            answer = "no answer" if entry.status is None else " ".join(filter(None, (str(entry.status), entry.error)))
            return "client", f"{entry.method} {entry.path} {answer}{jobs}"
        case Transition():
            return "provider", f"job {short(entry.job_id)} is {worded(entry.state, entry.status)}"
        case Attempt():
            told = f"answered {entry.status}" if entry.status is not None else entry.note
            return "provider", f"calls back {entry.url}: {told}"
        case _:
            return "fault", f"{entry.fault} strikes {entry.on}"


def short(job_id: str) -> str:
    """Return as much of an id as tells jobs apart for a person; of one that is a path, the end."""
    own = job_id.rpartition("/")[2]
    return own if len(own) <= 12 else f"{own[:8]}…"
