"""A careful client of Oxen's queue with aiohttp: one enqueue per call, every generation polled until its end."""

import asyncio
import json
import time
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import aiohttp

DEADLINE, CREATE_WINDOW = 900.0, 300.0
MAX_CREATES, MAX_BAD_POLLS = 6, 5


class OxenError(Exception):
    """Any failure of a call; names the generation where there is one."""


class OxenGenerationError(OxenError):
    """A generation that has failed or was cancelled."""


@dataclass
class _Reply:
    """One answer: its HTTP status, or 0 where none came, and its body, empty where that is no JSON object."""

    status: int
    body: dict[str, Any]
    text: str
    retry_after: float | None = None

    def pause(self, failures: int) -> float:
        """Say how long to leave the API alone after so many failures in a row."""
        if self.retry_after is not None:
            return max(1.0, self.retry_after)
        first = 10.0 if self.status == 429 else 2.0
        return min(60.0, first * 2.0 ** (failures - 1))


def _retry_after(value: str | None) -> float | None:
    """Read a Retry-After header, seconds or HTTP date, as seconds from now."""
    try:
        return max(0.0, float(value or ""))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(value or "")
    except (TypeError, ValueError, IndexError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - time.time())


def _error_text(body: dict[str, Any]) -> str:
    """Find the words of an error in one of the shapes that Oxen's errors have."""
    error = body.get("error")
    if isinstance(error, str):
        return error
    places = error if isinstance(error, dict) else {}
    words = [places.get("detail"), places.get("message"), places.get("title"), body.get("status_message")]
    return next((word for word in words if isinstance(word, str) and word), "unreadable answer")


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from repeating a GET at once when the connection breaks."""
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise aiohttp.ClientError(type(error).__name__) from None


async def _ask(session: aiohttp.ClientSession, api_key: str, method: str, url: str, **body: Any) -> _Reply:
    """Make one request and read its answer, without following redirects or showing the key."""
    headers = {"Authorization": f"Bearer {api_key}"}
    try:
        async with session.request(method, url, headers=headers, allow_redirects=False, **body) as response:
            content = await response.read()
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, TypeError) as error:
        return _Reply(0, {}, f"no answer ({type(error).__name__})")
    try:
        parsed = json.loads(content)
    except ValueError:
        parsed = None
    answer: dict[str, Any] = parsed if isinstance(parsed, dict) else {}
    text = _error_text(answer).replace(api_key, "***")[:500]
    return _Reply(response.status, answer, text, _retry_after(response.headers.get("Retry-After")))


async def _enqueue(session: aiohttp.ClientSession, api_key: str, url: str, body: dict[str, Any]) -> list[str]:
    """Enqueue, again only after a 429, and return the ids of all generations."""
    end, attempt = time.monotonic() + CREATE_WINDOW, 0
    while True:
        attempt += 1
        reply = await _ask(session, api_key, "POST", url, json=body)
        made = reply.body.get("generations")
        items = made if isinstance(made, list) else []
        ids = [item.get("generation_id") if isinstance(item, dict) else None for item in items]
        if 200 <= reply.status < 300 and ids and all(isinstance(one, str) and one for one in ids):
            return [str(one) for one in ids]
        if reply.status != 429:
            refused = 400 <= reply.status < 500 or made == []
            kind = "refused" if refused else "of unknown outcome, not repeated"
            raise OxenError(f"enqueue {kind}: HTTP {reply.status}, {reply.text}")
        pause = reply.pause(attempt)
        if attempt == MAX_CREATES or time.monotonic() + pause > end:
            raise OxenError(f"enqueue refused: HTTP 429, {reply.text}")
        await asyncio.sleep(pause)


async def _wait(session: aiohttp.ClientSession, api_key: str, url: str, name: str, began: float, end: float) -> str:
    """Poll one generation until its end and return its result URL."""
    bad, hold, video = 0, 0.0, False
    while True:
        pace = 10.0 if video else 3.0 if time.monotonic() - began < 30 else 5.0
        if time.monotonic() + max(hold, pace) > end:
            raise OxenError(f"generation {name}: not finished in time")
        await asyncio.sleep(max(hold, pace))
        reply = await _ask(session, api_key, "GET", f"{url}/{quote(name, safe='')}")
        body, readable = reply.body, reply.status == 200 and reply.body.get("generation_id") == name
        status, result = body.get("status") if readable else None, body.get("result_url")
        video = video or body.get("media_type") == "video"
        if status in ("failed", "cancelled"):
            reason = str(body.get("error_message") or "no reason given")
            raise OxenGenerationError(f"generation {name} {status}: {reason}".replace(api_key, "***"))
        if status == "succeeded" and isinstance(result, str) and result:
            return result
        if reply.status in (400, 401, 403) and body:
            raise OxenError(f"generation {name}: HTTP {reply.status}, {reply.text}")
        if isinstance(status, str) and status not in ("", "succeeded"):
            bad, hold = 0, 0.0
            continue
        bad += 1
        if bad == MAX_BAD_POLLS:
            raise OxenError(f"generation {name}: {bad} bad polls in a row, at last HTTP {reply.status}, {reply.text}")
        hold = reply.pause(bad)


async def generate(base_url: str, api_key: str, model: str, input: dict[str, Any]) -> list[str]:
    """Enqueue once, wait for every generation that this made and return their result URLs."""
    if not api_key:
        raise OxenError("no API key")
    url, deadline = base_url.rstrip("/") + "/api/ai/queue", time.monotonic() + DEADLINE
    limit = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(trust_env=False, timeout=limit, middlewares=(_once,)) as session:
        names = await _enqueue(session, api_key, url, {**input, "model": model})
        began, urls, errors = time.monotonic(), [], []
        for name in names:
            try:
                urls.append(await _wait(session, api_key, url, name, began, deadline))
            except OxenGenerationError as error:
                errors.append(str(error))
    if errors:
        raise OxenGenerationError(f"{'; '.join(errors)} (enqueued: {', '.join(names)})")
    return urls
