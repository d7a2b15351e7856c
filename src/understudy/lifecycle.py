"""The lifecycle of a job, as data.

Two rules of this file: everything that changes the state of a job is here, and nothing here knows a provider or the
wire. What a job looks like to a client is a view of the record below, and views belong to the contract.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

Json = Any  # what json.loads can return; a recursive type says no more and costs much


class State(StrEnum):
    """Where a job can be."""

    QUEUED = "queued"  # accepted, not started
    RUNNING = "running"  # at work
    SUCCEEDED = "succeeded"  # there is a result
    FAILED = "failed"  # there is an error
    CANCELLED = "cancelled"  # the client, or the provider, stopped it
    EXPIRED = "expired"  # nobody came in time


#: From each state, the states that may follow. A job may enter the state that it is in again (another wire word).
TRANSITIONS: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset(State),
    State.RUNNING: frozenset(State) - {State.QUEUED},
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
    State.EXPIRED: frozenset(),
}

#: The states that nothing follows.
TERMINAL = frozenset(state for state, following in TRANSITIONS.items() if not following)

#: The states in which whoever waits asks again.
ACTIVE = frozenset(State) - TERMINAL


def worded(state: State, status: Json) -> str:
    """Return a state with the provider's own word for it, where there is one."""
    return str(state) if status is None else f"{state} ({status!r})"


class IllegalTransition(Exception):
    """A job was asked to go where it cannot; it is as it was."""


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job failed.

    Attributes:
        name: The contract's name of the failure (`content-policy`), where it is known.
        code: The provider's code, a string or number.
        message: The provider's text.
        http: The HTTP status that the result of such a job has, where the contract says.
        headers: What headers its result has beside the others, by name.
    """

    name: str | None = None
    code: str | int | None = None
    message: str | None = None
    http: int | None = None
    headers: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """One result file.

    Attributes:
        url: Where it can be fetched.
        content: The bytes, where the provider sent them instead of a link.
        index: Which of the job's files it is, from 0.
        media_type: Such as `image/png`, where it is known.
        extension: Such as `png`, where it is known.
        width: In pixels, where it is known.
        height: In pixels, where it is known.
    """

    url: str | None = None
    content: bytes | None = None
    index: int = 0
    media_type: str | None = None
    extension: str | None = None
    width: int | None = None
    height: int | None = None


@dataclass(slots=True, kw_only=True)
class Job:
    """One job: the record that everything on the wire is a view of.

    A client's job has what the provider's views carry; the rest is None. Times are unix seconds.

    Attributes:
        id: The provider's id.
        state: The normal state.
        status: The provider's own word for it, with its JSON type.
        model: The model that was asked for.
        input: The input as it was sent.
        request: The whole body as it was sent.
        result: The result as the provider shows it.
        outputs: The result files.
        result_id: The id by which the result is asked for, where it has one of its own.
        error: Why it failed.
        progress: From 0 to 1.
        logs: Lines of text.
        position: Place in the queue.
        cost: What was charged, in the contract's unit.
        spent: What was charged less what was refunded.
        refunded: Whether money came back.
        created_at: When it was accepted.
        started_at: When it began to run.
        updated_at: When it last changed.
        ended_at: When it ended.
        duration_seconds: From acceptance to end.
        callback_url: Where the provider reports to.
        data_removed: Whether the provider has removed input and result, as it does some time after the end.
        poll_after_seconds: How long it wants to wait before it is asked for this job again.
        operation: The operation that made it.
        links: Part of `x-jobs` → the URL at which the provider wants to be asked about it, where it says so.
        parameters: The parameters in the path of the request that made it, which only the fake knows.
    """

    id: str
    state: State = State.QUEUED
    status: Json = None
    model: str | None = None
    input: dict[str, Json] | None = None
    request: Json = None
    result: Json = None
    outputs: Sequence[Output] = ()
    result_id: str | None = None
    error: JobError | None = None
    progress: float | None = None
    logs: Sequence[str] = ()
    position: int | None = None
    cost: float | None = None
    spent: float | None = None
    refunded: bool | None = None
    created_at: float | None = None
    started_at: float | None = None
    updated_at: float | None = None
    ended_at: float | None = None
    duration_seconds: float | None = None
    callback_url: str | None = None
    data_removed: bool | None = None
    poll_after_seconds: float | None = None
    operation: str | None = field(default=None, repr=False)
    links: Mapping[str, str] | None = field(default=None, repr=False)
    parameters: Mapping[str, str] | None = field(default=None, repr=False)

    @property
    def terminal(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in TERMINAL

    @property
    def worded(self) -> str:
        """Its state, with the provider's own word for it."""
        return worded(self.state, self.status)

    def without_data(self) -> Job:
        """Return what is left of it when the provider has removed its data."""
        return replace(self, input=None, request=None, result=None, outputs=(), logs=(), data_removed=True)

    def enter(self, state: State, *, status: Json, now: float) -> None:
        """Go to a state.

        Args:
            state: Where to.
            status: The wire word that is shown there.
            now: The time, in unix seconds.

        Raises:
            IllegalTransition: The lifecycle does not lead there; nothing was changed.
        """
        if state not in TRANSITIONS[self.state]:
            raise IllegalTransition(f"job {self.id} cannot go from {self.state} to {state}")
        self.state = state
        self.status = status
        self.updated_at = now
        if state is State.RUNNING and self.started_at is None:
            self.started_at = now
        if state in TERMINAL:
            self.ended_at = now
            self.duration_seconds = now - (self.created_at if self.created_at is not None else now)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a timeline.

    Attributes:
        state: The normal state.
        status: The wire word, where not the first of that state.
        seconds: How long it lasts; None with `reads` None means for ever.
        reads: How many status reads show it, instead of a time.
        progress: What the job reports while in it, from 0 to 1.
    """

    state: State
    status: Json = None
    seconds: float | None = None
    reads: int | None = None
    progress: float | None = None


Timeline = tuple[Step, ...]
