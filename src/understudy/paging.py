"""Pages of a list: which jobs are on the one that a request asks for, and what leads to those beside it.

A page by token begins below a job, whatever was made or has gone since; so does one by id. Where a request counts, jobs
that are made meanwhile move the others on.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from understudy.call import Call, unfit
from understudy.contract.expressions import Expression
from understudy.contract.pages import Paging
from understudy.lifecycle import Job, Json
from understudy.store import Play

# Older than the job of that number, or newer; no list is so long that its numbers have more digits.
_TOKEN = re.compile(r"([<>])([0-9]{1,15})", re.ASCII)
_WHOLE = re.compile(r"[0-9]{1,15}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Page:
    """What `$page` stands for; None where there is nothing.

    Attributes:
        next: What a request for the next page has at its place.
        previous: The same for the previous page.
        next_url: Where the next page is.
        previous_url: Where the previous page is.
        has_more: Whether there is a next page.
        first_id: The id of the first job on the page.
        last_id: The id of the last.
        total: How many jobs there are on all pages.
    """

    next: Json
    previous: Json
    next_url: str | None
    previous_url: str | None
    has_more: bool
    first_id: str | None
    last_id: str | None
    total: int


def turn_to(paging: Paging, jobs: Sequence[Job], plays: Mapping[str, Play], call: Call) -> tuple[list[Job], Page]:
    """Return the jobs on the page that a request asks for, the newest first, and what is known of the page.

    Args:
        paging: How the list is split.
        jobs: What it has, the oldest first.
        plays: All jobs by id.
        call: The request.

    Raises:
        Answered: It asks for a page that cannot be.
    """
    newest = list(reversed(jobs))
    numbers = [plays[job.id].number for job in newest]
    size = _size(paging, call)
    start, stop = _slice(paging, numbers, plays, call, size)
    shown = newest[start:stop]
    following = _mark(paging, newest, numbers, stop, size) if stop < len(newest) else None
    before = _back(paging, numbers, start, size) if start else None
    return shown, Page(
        next=following,
        previous=before,
        next_url=_url(paging.at, following, call),
        previous_url=_url(paging.at, before, call),
        has_more=following is not None,
        first_id=shown[0].id if shown else None,
        last_id=shown[-1].id if shown else None,
        total=len(newest),
    )


def _size(paging: Paging, call: Call) -> int:
    sent = None if paging.size_at is None else call.value((paging.size_at,))
    if paging.size_at is None or sent in (None, ""):
        return paging.size
    asked = _whole(paging.size_at, sent, 1)
    return asked if paging.max_size is None else min(asked, paging.max_size)


def _whole(at: Expression, sent: Json, least: int) -> int:
    found = _WHOLE.fullmatch(str(sent))
    if found is None or int(found[0]) < least:
        raise unfit(at, sent, f"a whole number from {least}")
    return int(found[0])


def _slice(paging: Paging, numbers: Sequence[int], plays: Mapping[str, Play], call: Call, size: int) -> tuple[int, int]:
    """Return where among the jobs, of which the numbers fall, the page begins and ends."""
    sent = call.value((paging.at,))
    if sent in (None, ""):
        start = 0
    elif paging.style == "token":
        side, number = _told(paging.at, sent)
        start = sum(one >= number for one in numbers)
        if side == ">":
            stop = sum(one > number for one in numbers)
            return max(stop - size, 0), stop
    elif paging.style == "id":
        play = plays.get(str(sent))
        if play is None or play.account is not call.account:
            raise unfit(paging.at, sent, "the id of a job")
        start = sum(one >= play.number for one in numbers)
    elif paging.style == "offset":
        start = _whole(paging.at, sent, 0)
    else:
        start = (_whole(paging.at, sent, 1) - 1) * size
    return start, start + size


def _told(at: Expression, token: Json) -> tuple[str, int]:
    try:
        found = _TOKEN.fullmatch(base64.urlsafe_b64decode(str(token)).decode())
    except ValueError:
        found = None
    if found is None or token != _token(found[1], int(found[2])):
        raise unfit(at, token, "a token of this list")
    return found[1], int(found[2])


def _token(side: str, number: int) -> str:
    return base64.urlsafe_b64encode(f"{side}{number}".encode()).decode()


def _mark(paging: Paging, newest: Sequence[Job], numbers: Sequence[int], start: int, size: int) -> Json:
    """Return what leads to the page that begins after `start` jobs."""
    return {
        "token": _token("<", numbers[start - 1]),
        "id": newest[start - 1].id,
        "offset": start,
        "number": start // size + 1,
    }[paging.style]


def _back(paging: Paging, numbers: Sequence[int], start: int, size: int) -> Json:
    """Return what leads to the page that ends after `start` jobs; no id does."""
    before = numbers[min(start, len(numbers)) - 1] if numbers else 0
    return {
        "token": _token(">", before - 1),
        "id": None,
        "offset": max(start - size, 0),
        "number": start // size,
    }[paging.style]


def _url(at: Expression, mark: Json, call: Call) -> str | None:
    """Return the URL of this request with another page in it, and without a key."""
    if mark is None or at.path[0] != "query":
        return None
    path = call.operation.path
    for name, value in call.view.path.items():
        path = path.replace(f"{{{name}}}", quote(value, safe=""))
    keys = {security.name for security in call.operation.security if security.place == "query"}
    query = {name: value for name, value in call.view.query.items() if name not in keys}
    return f"{call.scope['server']['url']}{path}?{urlencode({**query, at.path[1]: mark})}"
