"""The files that a fake serves: result pictures, drawn when they are fetched, and uploads, kept for a while."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

from understudy.clock import Clock
from understudy.contract.expressions import Scope
from understudy.contract.model import Assets, JobType
from understudy.contract.views import View
from understudy.lifecycle import Job
from understudy.media import draw
from understudy.store import Address, Play, Plays

#: Bytes of uploads that are kept; the oldest go first.
MAX_UPLOADED_BYTES = 64 * 1024 * 1024

#: The query parameter that a renewed link carries: until when it is good, in unix seconds.
EXPIRES = "expires"


class Found(NamedTuple):
    """A file that was asked for.

    Attributes:
        content: The bytes; empty where the link has expired.
        media_type: Such as `image/png`.
        expired: Whether the link is no longer good.
        job_type: The kind of job whose contract says how that is told.
        account: The name of the account that the file belongs to; empty where anybody may fetch it.
        play: The job whose result it is; None for an upload.
    """

    content: bytes
    media_type: str
    expired: bool
    job_type: JobType
    account: str = ""
    play: Play | None = None


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file that a client has sent: what `$file.…` stands for."""

    name: str
    path: str
    url: str
    size: int
    media_type: str
    uploaded_at: float
    content: bytes


_END_OF_HOST = re.compile("[/?#]")


class Files:
    """The files of one provider.

    Args:
        job_types: The contract's kinds of job.
        plays: The jobs.
        clock: By which links expire.
    """

    def __init__(self, job_types: Mapping[str, JobType], plays: Plays, clock: Clock) -> None:
        self._plays = plays
        self._clock = clock
        self._uploads: OrderedDict[str, tuple[UploadedFile, JobType, float | None]] = OrderedDict()
        self._uploaded_bytes = 0
        kinds = [job_type.assets for job_type in job_types.values() if job_type.assets is not None]
        self._queries = {query_names(assets) for assets in kinds}

    def keep(self, path: str, file: UploadedFile, job_type: JobType, lifetime_seconds: float | None) -> None:
        """Keep an upload under the path of its URL; one of the same path is replaced."""
        until = None if lifetime_seconds is None else self._clock.now() + lifetime_seconds
        replaced = self._uploads.pop(path, None)
        self._uploaded_bytes += len(file.content) - (len(replaced[0].content) if replaced else 0)
        self._uploads[path] = (file, job_type, until)
        while self._uploaded_bytes > MAX_UPLOADED_BYTES:
            _, (oldest, _, _) = self._uploads.popitem(last=False)
            self._uploaded_bytes -= len(oldest.content)

    def find(self, path: str, query: Mapping[str, str]) -> Found | None:
        """Return the file at a path, or None.

        Args:
            path: The raw path.
            query: The query parameters.
        """
        upload = self._uploads.get(path)
        if upload is not None:
            file, job_type, until = upload
            expired = until is not None and self._clock.now() > until
            return Found(b"" if expired else file.content, file.media_type, expired, job_type)
        for names in self._queries:
            address = _address(path, query, names)
            play = self._plays.serving(address)
            if play is not None and play.job_type.assets is not None:
                assets, picture = play.job_type.assets, play.pictures[play.addresses.index(address)]
                content = b"" if (expired := self._clock.now() > _good_until(play, assets, query)) else draw(picture)
                account = play.account.name if assets.needs_key else ""
                return Found(content, picture.media_type, expired, play.job_type, account, play)
        return None

    def clear(self) -> None:
        """Forget the uploads."""
        self._uploads.clear()
        self._uploaded_bytes = 0


def shown(play: Play, job: Job, view: View, scope: Scope) -> Job:
    """Return a job as a view shows it: with the bytes of its result files, where both have them."""
    if not job.outputs or not view.carries_content(job.state, {**scope, "job": job}):
        return job
    files = zip(job.outputs, play.pictures, strict=True)
    return replace(job, outputs=tuple(replace(output, content=draw(picture)) for output, picture in files))


def _good_until(play: Play, assets: Assets, query: Mapping[str, str]) -> float:
    renewed = query.get(EXPIRES, "")
    if renewed.isdecimal():
        return float(renewed)
    lifetime = play.plan.link_lifetime_seconds
    lifetime = assets.lifetime_seconds if lifetime is None else lifetime
    return float("inf") if lifetime is None else (play.job.ended_at or 0) + lifetime


def query_names(assets: Assets) -> tuple[str, ...]:
    """Return the query parameters that the links of result files have: what else a request has tells no file."""
    _, _, query = str(assets.url.render({})).partition("?")
    return tuple(name for name, _ in parse_qsl(query, keep_blank_values=True))


def address_of(url: str, assets: Assets) -> Address:
    """Return the address of a result file under the link that was issued for it."""
    path, mark, query = below_host(url).partition("#")[0].partition("?")
    names = query_names(assets) if mark else ()
    return _address(path, dict(parse_qsl(query, keep_blank_values=True)) if names else {}, names)


def _address(path: str, query: Mapping[str, str], names: Iterable[str]) -> Address:
    return unquote(path), *(query.get(name, "") for name in names)


def below_host(url: str) -> str:
    """Return what follows the host in a URL: the path, the query and all."""
    _, _, rest = url.partition("//")
    end = _END_OF_HOST.search(rest)
    below = rest[end.start() :] if end is not None else ""
    return below if below.startswith("/") else f"/{below}"


def moved(url: str, base: str) -> str:
    """Return a URL with another base in place of its scheme and host; an empty base leaves it as it is."""
    return base + below_host(url) if base else url
