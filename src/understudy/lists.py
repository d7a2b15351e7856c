"""The flow that walks through the pages of a list, without I/O."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

from understudy.contract.model import Listing
from understudy.contract.reading import ReadError, Reading
from understudy.errors import ProviderError, UnreadableReply, UsageError
from understudy.exchange import REQUEST_TIMEOUT_SECONDS, Answer, Command, Draft, NoAnswer, Send, answer_scope, decoded
from understudy.lifecycle import Job
from understudy.talk import Talk

#: A list with more pages is not read to its end.
MAX_PAGES = 10_000


@dataclass(slots=True)
class Walk:
    """A walk through a list that is under way.

    Attributes:
        next: How the next page is asked for; None after the last.
        asked: How the pages so far were asked for.
        seen: The ids of the jobs so far.
        passed: How many jobs the pages so far had.
    """

    next: Send | None
    asked: set[Send] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    passed: int = 0


class Lists(Talk):
    """Lists jobs."""

    def walk(self) -> Walk:
        """Begin to walk through all jobs; see `Client.jobs`."""
        operation = self.contract.operations[self._listing().operation]
        return Walk(self._writer.send(operation, Draft(), REQUEST_TIMEOUT_SECONDS))

    def _listing(self) -> Listing:
        if self.job_type.listing is None:
            raise UsageError(f"{self.contract.name} has no operation that lists jobs")
        return self.job_type.listing

    def page(self, walk: Walk) -> Generator[Command, Any, list[Job]]:
        """Return the jobs on the next page that no page before has had."""
        listing, send = self._listing(), walk.next
        assert send is not None  # or the walk were over
        operation = self.contract.operations[listing.operation]
        if send in walk.asked or len(walk.asked) >= MAX_PAGES:
            what = f"the list has no end: after {len(walk.asked)} pages it leads to "
            what += "one that was read before" if send in walk.asked else "yet another"
            raise self._error(UnreadableReply, what, operation.id)
        walk.asked.add(send)
        try:
            answer: Answer = yield send
        except NoAnswer as error:
            raise self._error(ProviderError, "the list got no answer", operation.id, cause=error) from None
        body = decoded(answer)
        scope = answer_scope(answer, body)
        found = self._error_in(operation, answer, body, scope, listing.reply)
        if found is not None:
            raise self._error(ProviderError, "the list could not be read", operation.id, answer=answer, found=found)
        try:
            read = listing.reply.read(body, scope)
            jobs = [job for job in self.reader.jobs(read, listing.reply, scope) if job.id]
            walk.passed += len(jobs)
            walk.next = self._following(walk, send, read.reading, jobs)
        except (ReadError, ValueError) as error:  # a ValueError: the link is no URL
            what = "the list cannot be read"
            raise self._error(UnreadableReply, what, operation.id, cause=error, answer=answer) from None
        fresh = [job for job in jobs if job.id not in walk.seen]
        walk.seen.update(job.id for job in fresh)
        return fresh

    def _following(self, walk: Walk, send: Send, reading: Reading, jobs: list[Job]) -> Send | None:
        """Return how the page after this one is asked for, by what it says or, where it says nothing, by its jobs."""
        listing = self._listing()
        if listing.paging is None:
            return None
        shown, style = listing.reply.fields(None), listing.paging.style
        operation = self.contract.operations[listing.operation]
        if "page.nextUrl" in shown:
            url = reading.get(("page", "nextUrl"))
            return None if url is None else self._writer.follow(operation, send, urljoin(send.url, url))
        if "page.next" in shown:
            mark = reading.get(("page", "next"))
        elif reading.get(("page", "hasMore")) is False or not jobs:
            mark = None
        else:
            mark = {"id": jobs[-1].id, "offset": walk.passed, "number": len(walk.asked) + 1}[style]
        if mark is None:
            return None
        request = Draft()
        request.put((listing.paging.at,), mark, f"{operation.id} has no place for a page")
        return self._writer.send(operation, request, REQUEST_TIMEOUT_SECONDS)
