"""The reference client's flows, as generators over requests and replies: no I/O, and one copy for sync and async."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any
from urllib.parse import urljoin

from understudy.errors import ClientError, ProviderError, UnreadableReply, UsageError
from understudy.exchange import REQUEST_TIMEOUT_SECONDS, Answer, Command, Draft, NoAnswer, Send, decoded
from understudy.keyring import KeyRing
from understudy.lifecycle import Job, Output
from understudy.lists import Lists
from understudy.reach import shown_url
from understudy.submits import Submits
from understudy.waits import Waits

#: A link to a result file that leads on more often is not followed.
MAX_REDIRECTS = 10

# So much of a link is shown, which need not be the URL of a page.
_SHOWN_CHARACTERS = 200

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Flows(Submits, Waits, Lists, KeyRing):
    """All flows against one provider."""

    def subscription(self, job: Job | None, patience: float = REQUEST_TIMEOUT_SECONDS) -> Send:
        """Return the request that opens a stream of events, which may be silent for so many seconds."""
        events = self.job_type.events
        if events is None:
            raise UsageError(f"{self.contract.name} has no stream of events")
        request = Draft()
        if events.scope == "job":
            if job is None:
                raise UsageError(f"{self.contract.name} streams the events of one job: say which")
            request.put(events.id, job.id, "no place for an id")
        operation = self.contract.operations[events.operation]
        link = (job.links or {}).get("events") if job is not None else None
        return self._writer.send(operation, request, patience, "text/event-stream", link)

    def unsubscribed(self, answer: Answer) -> ClientError:
        """Return the error that a stream of events was answered with."""
        assert self.job_type.events is not None  # or there were no subscription
        operation = self.contract.operations[self.job_type.events.operation]
        found = self.job_type.errors.recognise(operation.id, answer.status, decoded(answer))
        what = "the stream of events could not be opened"
        return self._error(ProviderError, what, operation.id, answer=answer, found=found)

    def told(self, name: str, data: str, job: Job | None) -> Job | None:
        """Return the job that an event tells of, or None for an event of another kind."""
        events = self.job_type.events
        assert events is not None  # or there were no subscription
        return self.reader.event(name, data, job if events.scope == "job" else None)

    def lost(self, kind: type[ClientError], cause: Exception) -> ClientError:
        """Return the error that a stream of events breaks with."""
        assert self.job_type.events is not None  # or there were no subscription
        return self._error(kind, "the stream of events was lost", self.job_type.events.operation, cause=cause)

    def download(self, output: Output) -> Generator[Command, Any, bytes]:
        """Fetch a result file; see `Client.download`."""
        if output.content is not None:
            return output.content
        if output.url is None:
            raise UsageError("this result has neither a link nor content")
        url = output.url
        for _ in range(MAX_REDIRECTS + 1):
            shown = self._writer.without_key(shown_url(url))[:_SHOWN_CHARACTERS]
            what = f"the result file could not be fetched from {shown}"
            try:
                answer: Answer = yield self._writer.fetch(url)
                if answer.status in _REDIRECTS and "location" in answer.headers:
                    url = urljoin(url, answer.headers["location"])
                    continue
            except (NoAnswer, ValueError) as error:  # a ValueError: the location is no URL
                raise UnreadableReply(f"{what}: {self._writer.without_key(str(error))}") from None
            if not 200 <= answer.status < 300:
                raise UnreadableReply(what, status_code=answer.status)
            return answer.body
        raise UnreadableReply(f"{what}: it was moved {MAX_REDIRECTS} times and again")
