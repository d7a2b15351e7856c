"""Something between client and provider answers in its place: an HTML page."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from understudy.faults.fault import ANSWERED, Fault
from understudy.wire import Reply

# What a CDN has beside the statuses of HTTP itself.
_TITLES = {520: "Web server returned an unknown error", 522: "Connection timed out", 524: "A timeout occurred"}


@dataclass(frozen=True)
class HtmlErrorPage(Fault):
    """A CDN answers with an error page.

    Attributes:
        status: The HTTP status: 403 for a client that it blocks, 502 or 524 for a provider that it cannot reach.
        committed: Whether the provider did what it was asked for all the same.
    """

    moments = ("before commit", "after commit")
    on = (*ANSWERED, "events")

    status: int = 502
    committed: bool = False

    def instead(self, now: float) -> Reply | None:
        return None if self.committed else self._page()

    def answer(self, reply: Reply, now: float) -> Reply:
        return self._page()

    def _page(self) -> Reply:
        known = {status.value: status.phrase for status in HTTPStatus}
        title = f"{self.status}: {_TITLES.get(self.status) or known.get(self.status, 'Error')}"
        page = f"<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
        return Reply(self.status, [("content-type", "text/html; charset=UTF-8")], page.encode())
