"""The admin API of a live server, `/__admin/`: what happens here, as JSON and on a page. It answers loopback only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from understudy import __version__, journal
from understudy.clock import Clock
from understudy.contract.codecs import parse_json
from understudy.directory import HOST_HEADER, Addresses
from understudy.errors import UsageError, suggestion
from understudy.journal import Attempt, Exchange, Struck
from understudy.lifecycle import Json
from understudy.logbook import Logbook
from understudy.reach import shown_url
from understudy.roster import Role, Roster
from understudy.wire import problem

if TYPE_CHECKING:
    from understudy.store import Play

#: What is shown of the jobs and of the journal unless asked for otherwise: the newest ones.
DEFAULT_LIMIT = 200

#: How far the clock can be moved at one time: a year.
MAX_ADVANCE_SECONDS = 366 * 86400.0

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

_NOT_KEPT = {"cache-control": "no-cache"}

# The page has no part from anywhere else, and nobody may frame it.
_PAGE_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; frame-ancestors 'none'",
    **_NOT_KEPT,
}


class Admin:
    """The admin API.

    Args:
        roster: The providers.
        clock: By which they act.
        log: Told of what is changed here.
        addresses: Where the server listens.
    """

    def __init__(self, roster: Roster, clock: Clock, log: Logbook, addresses: Addresses) -> None:
        self._roster = roster
        self._clock = clock
        self._log = log
        self._addresses = addresses

    def app(self) -> ASGIApp:
        """Return the ASGI application, to be mounted at `/__admin`."""
        routes = [
            Route("/", _page),
            Route("/health", _json(self._health)),
            Route("/providers", _json(self._providers)),
            Route("/jobs", _json(self._jobs)),
            Route("/journal", _json(self._journal)),
            Route("/coverage", _json(self._coverage)),
            Route("/clock", self._time_or_advance, methods=["GET", "POST"]),
            Route("/scenario", self._play, methods=["POST"]),
            Route("/reset", _json(self._reset), methods=["POST"]),
        ]
        handlers = {HTTPException: _refused, UsageError: _not_played, Exception: self._broken}
        return _Guard(Starlette(routes=routes, exception_handlers=handlers))

    async def _broken(self, request: Request, error: Exception) -> Response:
        self._log.defect(error, f"{request.method} {request.url.path}")
        return _problem(500, "a defect of Understudy", "Its log has the traceback. Please report it.")

    # --- what there is ---

    def _health(self, _: Request) -> Json:
        return {"status": "ok", "version": __version__}

    def _providers(self, _: Request) -> Json:
        return {"providers": [self._about(role) for role in self._roster]}

    def _about(self, role: Role) -> Json:
        provider = role.provider
        return {
            "name": role.name,
            "url": f"{self._addresses.url}/{role.name}{role.base_path}",
            "asset_url": f"{self._addresses.asset_url}/{role.name}",
            "hosts": role.hosts,
            "scenario": role.scenario,
            "scenarios": {name: story.description for name, story in sorted(provider.behaviour.scenarios.items())},
            "jobs": len(provider.plays),
            "accounts": [{"name": name, "balance": account.balance} for name, account in provider.accounts.items()],
        }

    def _jobs(self, request: Request) -> Json:
        plays = [(role, play) for role in self._playing(request) for play in role.provider.plays.values()]
        plays.sort(key=lambda found: found[1].record.created_at or 0.0)
        return {"jobs": [_job(*found) for found in plays[-_limit(request) :]], "total": len(plays)}

    def _journal(self, request: Request) -> Json:
        entries = [(role, entry) for role in self._playing(request) for entry in role.provider.journal]
        entries.sort(key=lambda found: found[1].at)  # stable: what a provider did at one moment stays in order
        return {"entries": [_entry(*found) for found in entries[-_limit(request) :]], "total": len(entries)}

    def _coverage(self, _: Request) -> Json:
        from understudy.coverage.report import as_data

        return as_data(self._roster.tally.report())

    def _chosen(self, request: Request) -> list[Role]:
        name = request.query_params.get("provider")
        return list(self._roster) if name is None else [self._roster.role(name)]

    def _playing(self, request: Request) -> list[Role]:
        return [role for role in self._chosen(request) if role.playing]

    # --- what can be done ---

    def _reset(self, request: Request) -> Json:
        roles = self._chosen(request)
        for role in roles:
            role.reset()
            self._log.note(f"{role.name} was reset: its jobs, accounts and files are forgotten")
        return {"reset": [role.name for role in roles]}

    async def _play(self, request: Request) -> Response:
        body = _object(await request.body())
        name, known = body.get("scenario"), "scenario" in body and set(body) <= {"scenario", "provider"}
        if not known or not isinstance(name, str | None) or not isinstance(body.get("provider"), str | None):
            raise HTTPException(
                422, 'the body has to be {"scenario": name or null, "provider": name}; no provider: all'
            )
        roles = list(self._roster) if body.get("provider") is None else [self._roster.role(body["provider"])]
        playing = [role for role in roles if name is None or name in role.provider.behaviour.scenarios]
        if not playing:
            names = {name for role in roles for name in role.provider.behaviour.scenarios}
            raise HTTPException(404, f'nobody here has the scenario "{name}"; {suggestion(str(name), names)}')
        for role in playing:
            role.play(name)
            self._log.note(f"{role.name} plays {name or 'the usual'}")
        return JSONResponse({"scenario": name, "providers": [role.name for role in playing]}, headers=_NOT_KEPT)

    async def _time_or_advance(self, request: Request) -> Response:
        if request.method == "POST":
            self._advance(await request.body())
        now = self._clock.now()
        iso = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
        return JSONResponse({"now": now, "iso": iso}, headers=_NOT_KEPT)

    def _advance(self, content: bytes) -> None:
        seconds = _object(content).get("advance_seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= MAX_ADVANCE_SECONDS:
            raise HTTPException(422, f'the body has to be {{"advance_seconds": n}}, n up to {MAX_ADVANCE_SECONDS:.0f}')
        self._log.note(f"the clock was moved by {seconds:g} seconds")
        self._clock.advance(seconds)
        for role in self._roster.playing():
            self._log.news(role)


class _Guard:
    """Lets through what comes from this machine; a page of another site, or of a rebound name, is refused."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
        origins = [value.decode("latin-1") for name, value in headers if name == b"origin"]
        if len(hosts) == 1 and _is_our_host(hosts[0]) and all(map(_is_our_origin, origins)):
            with suppress(Exception):  # Starlette has had it logged and answered, and raises it again for the server
                await self._app(scope, receive, send)
            return
        detail = "The admin API answers only to a Host that is 127.0.0.1, ::1 or localhost, and to no other Origin."
        await _problem(403, "not from here", detail)(scope, receive, send)


def _is_our_host(header: str) -> bool:
    called = HOST_HEADER.fullmatch(header)
    return called is not None and called[1].strip("[]").lower() in _LOOPBACK


def _is_our_origin(header: str) -> bool:
    try:
        return urlsplit(header).hostname in _LOOPBACK
    except ValueError:
        return False


def _json(answer: Callable[[Request], Json]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return JSONResponse(answer(request), headers=_NOT_KEPT)

    return endpoint


async def _page(_: Request) -> Response:
    page = Path(__file__).with_name("admin.html").read_text(encoding="utf-8")
    return HTMLResponse(page, headers=_PAGE_HEADERS)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # it is registered for no other
    title = HTTPStatus(error.status_code).phrase
    return _problem(error.status_code, title, f"{request.method} {request.url.path}: {error.detail}", error.headers)


async def _not_played(_: Request, error: Exception) -> Response:
    return _problem(404, "no such provider", str(error))


def _problem(status: int, title: str, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    reply = problem(status, title, detail)
    return Response(reply.body, status, {**(headers or {}), **dict(reply.headers)})


def _object(content: bytes) -> dict[str, Json]:
    """Return a body as a JSON object; what is none is an empty one."""
    try:
        body = parse_json(content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) > 0):
        raise HTTPException(422, "limit has to be a whole number from 1")
    return int(text)


def _job(role: Role, play: Play) -> dict[str, Json]:
    job = play.job
    return {
        "provider": role.name,
        "id": job.id,
        "state": job.state,
        "status": job.status,
        "model": job.model,
        "account": play.account.name,
        "created_at": job.created_at,
        "ended_at": job.ended_at,
        "cost": job.cost,
        "spent": job.spent,
        "error": job.error.message if job.error else None,
        "outputs": [output.url for output in job.outputs],
        "callback_url": None if job.callback_url is None else shown_url(job.callback_url),
    }


def _entry(role: Role, entry: journal.Entry) -> dict[str, Json]:
    common: dict[str, Json] = {"provider": role.name, "at": entry.at}
    if isinstance(entry, Exchange):
        return common | {
            "kind": "exchange",
            "account": entry.account,
            "method": entry.method,
            "path": entry.path,
            "query": entry.query,
            "operation": entry.operation,
            "status": entry.status,
            "error": entry.error,
            "jobs": entry.jobs,
            "request_body": _text(entry.request_body),
            "reply_body": _text(entry.reply_body),
            "scenario": entry.scenario,
        }
    if isinstance(entry, Attempt):
        return common | {
            "kind": "callback",
            "job": entry.job_id,
            "url": entry.url,
            "attempt": entry.attempt,
            "status": entry.status,
            "delivered": entry.delivered,
            "note": entry.note,
            "signed": entry.signed,
        }
    if isinstance(entry, Struck):
        return common | {"kind": "fault", "fault": entry.fault, "on": entry.on, "job": entry.job_id}
    return common | {
        "kind": "transition",
        "job": entry.job_id,
        "state": entry.state,
        "status": entry.status,
        "before": entry.before,
        "failure": entry.failure,
    }


def _text(body: bytes) -> str | None:
    """Return a body as text, as much of it as the journal keeps; None where it is not text."""
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        return body[: error.start].decode() if error.start > len(body) - 4 else None
