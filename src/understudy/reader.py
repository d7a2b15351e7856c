"""Read what a provider says of a job: replies, events and callbacks, by the contract's own views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from understudy.callback import verify
from understudy.contract.codecs import parse_json
from understudy.contract.expressions import Scope
from understudy.contract.frames import recognise
from understudy.contract.items import READ_STATE
from understudy.contract.model import Contract, JobType
from understudy.contract.reading import Path, ReadError, Reading
from understudy.contract.templates import fit
from understudy.contract.views import Read, View, facts_of, prefixes
from understudy.errors import UnreadableReply, UsageError
from understudy.lifecycle import Job, JobError, State
from understudy.signatures import ALGORITHMS
from understudy.wire import RequestView


class Reader:
    """Reads jobs.

    Args:
        contract: The provider's contract.
    """

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._job_type: JobType = contract.job_type

    def job(self, reading: Reading, prefix: Path, view: View | None, state: State | None, known: Job | None) -> Job:
        """Return what a reading says of a job, laid over what was known."""
        facts = facts_of(reading, self._job_type.outputs, prefix)
        if "error" in facts:
            facts["error"] = self._named(facts["error"])
        if state is None:
            words = view.words if view is not None else self._job_type.words
            before = known.state if known is not None else State.QUEUED
            state = State.FAILED if words.unknown == "failed" else before
        if known is None:
            return Job(**{"id": "", **facts, "state": state})
        if known.id:
            facts.pop("id", None)
        return replace(known, **{**facts, "state": state})

    def _named(self, error: JobError) -> JobError:
        """Return an error with the contract's name of the failure that it is, where it is one of them."""
        for failure in self._job_type.failures.values():
            if error.code in (None, failure.code) and fit(failure.message, error.message) == 2:
                return replace(error, name=failure.name)
        return error

    def jobs(self, read: Read, view: View, scope: Scope) -> list[Job]:
        """Return the jobs that a reply tells of; of several, each may have a word of its own."""
        found = []
        for prefix in prefixes(read.reading):
            word = read.reading.get((*prefix, "status"))
            state = read.state if word is None else view.words.state_read(word, scope)
            state = read.reading.get((*prefix, READ_STATE), state)
            found.append(self.job(read.reading, prefix, view, state, None))
        return found

    def links(self, scope: Mapping[str, Any]) -> dict[str, str]:
        """Return where the answer to a create says that the provider is to be asked about the job, by part."""
        parts = self._job_type.about_a_job.items()
        found = {name: part.link.render(scope) for name, part in parts if part.link is not None}
        return {name: link for name, link in found.items() if isinstance(link, str) and link}

    def event(self, name: str, data: str, job: Job | None = None) -> Job | None:
        """Return the job that an event tells of, or None for an event of another kind.

        Args:
            name: The name of the event.
            data: Its data.
            job: The one job that the stream is about, where it is about one: such an event may not say so.
        """
        events = self._job_type.events
        assert events is not None  # or nobody had subscribed
        try:
            value = parse_json(data)
        except ValueError:
            value = data
        told = recognise(events, name, value)
        if told is None:
            return None
        about = told.reading.get(("job", "id"), None if job is None else job.id)
        known = job if job is not None and job.id == about else None
        return None if about is None else self.job(told.reading, ("job",), None, told.state, known)

    def callback(
        self,
        headers: Mapping[str, str],
        body: bytes,
        *,
        secret: str | None,
        keys: tuple[bytes, ...] = (),
        now: float,
    ) -> Job:
        """Read a callback, and verify it where there is a secret or a public key; see `Client.read_callback`."""
        callback = self._job_type.callback
        if callback is None:
            raise UsageError(f"{self._contract.name} sends no callbacks")
        lower = {name.lower(): value for name, value in headers.items()}
        try:
            value = parse_json(body)
            read = callback.view.read(value, {"request": RequestView(value, {}, lower, {})})
        except (ValueError, ReadError) as error:
            raise UnreadableReply(f"the callback cannot be read: {error}") from None
        job = self.job(read.reading, ("job",), callback.view, read.state, None)
        if not job.id:
            raise UnreadableReply("the callback names no job")
        if secret is not None or keys:
            if callback.sign is None:
                raise UsageError(f"{self._contract.name} does not sign its callbacks: pass no secret and no key")
            if keys and not ALGORITHMS[callback.sign.algorithm].public:
                what = f"{self._contract.name} signs its callbacks by {callback.sign.algorithm}"
                raise UsageError(f"{what}, which knows no public key: pass the secret")
            verify(callback.sign, job, lower, body, secret=secret, keys=keys, now=now)
        return job
