"""Pictures from Kie: with httpx, sync and async, and with requests.

What is said to Kie, and when, is written once, as a generator: it yields a `Request` and is given the `Reply`, or it
yields a number of seconds to wait. Beside it, each library needs no more than a few lines.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import requests

BASE_URL = "https://api.kie.ai"
MODEL = "nano-banana-pro"
CREATE_SECONDS = 120.0  # for so long a create is asked for again that was one too many
WAIT_SECONDS = 900.0  # Kie says to give up after 10 to 15 minutes
DOWNLOAD_PAUSES = (0.0, 2.0, 5.0)


class PictureError(Exception):
    """There is no picture; the text says why."""


# --- what is said to Kie, whatever carries it -------------------------------------------------------------------------


@dataclass(frozen=True)
class Request:
    """What is to be asked; `key` says whether it is Kie's API, which is to see the key."""

    method: str
    url: str
    params: dict[str, str] | None = None
    body: dict[str, Any] | None = None
    key: bool = True


class Reply:
    """An answer: Kie's code, which is in the body where HTTP says 200, and 0 where there is none that can be read."""

    def __init__(self, status: int = 0, headers: Mapping[str, str] | None = None, content: bytes = b"") -> None:
        """Take what HTTP has brought; nothing, where no answer came."""
        try:
            told = json.loads(content)
        except ValueError:
            told = None
        told = told if isinstance(told, dict) else {}
        data = told.get("data")
        code = told.get("code") if status == 200 else status
        self.status = status
        self.content = content
        self.code = code if isinstance(code, int) else 0
        self.message = str(told.get("msg") or "no answer that can be read")
        self.data: dict[str, Any] = data if isinstance(data, dict) else {}
        self.retry_after = _seconds_until((headers or {}).get("Retry-After", ""))


Talk = Generator[Request | float, Reply | None, Any]


def _links(model: str, input: dict[str, Any]) -> Talk:
    """Have a task made, wait for its end, and return the links to its results."""
    task_id = yield from _create({"model": model, "input": input})
    return (yield from _wait(task_id))


def _create(body: dict[str, Any]) -> Talk:
    """Return the id of a new task; only what was refused as one too many is asked for again."""
    deadline, pause = time.monotonic() + CREATE_SECONDS, 5.0
    while True:
        reply = yield Request("POST", "/api/v1/jobs/createTask", body=body)
        if task_id := reply.data.get("taskId"):
            return task_id
        pause = max(reply.retry_after, 2 * pause)
        if reply.code != 429 or time.monotonic() + pause > deadline:
            break
        yield pause
    unknown = reply.code in (0, 408) or reply.code >= 500
    what = "it is not known whether a task was made" if unknown else "no task was made"
    raise PictureError(f"{what}: {reply.message} ({reply.code})")


def _wait(task_id: str) -> Talk:
    """Return the links of a task, at the pace that Kie documents; a poll that tells nothing is followed by another."""
    began, asked_to_wait, last = time.monotonic(), 0.0, "nothing"
    while True:
        age = time.monotonic() - began
        pause = max(asked_to_wait, 3.0 if age < 30 else 10.0 if age < 120 else 30.0)
        if age + pause > WAIT_SECONDS:
            raise PictureError(f"task {task_id} takes too long; the last that was heard of it: {last}")
        yield pause
        reply = yield Request("GET", "/api/v1/jobs/recordInfo", params={"taskId": task_id})
        state = reply.data.get("state")
        if state == "success" and (links := _links_of(reply.data)):
            return links
        if state == "fail":
            raise PictureError(f"task {task_id} failed: {reply.data.get('failMsg')} ({reply.data.get('failCode')})")
        if reply.code == 401:
            raise PictureError(f"task {task_id} cannot be read: {reply.message}")
        asked_to_wait, last = reply.retry_after, state or f"{reply.message} ({reply.code})"


def _picture(prompt: str) -> Talk:
    """Have a picture made, and return its bytes."""
    [link, *_] = yield from _links(MODEL, {"prompt": prompt})
    for pause in DOWNLOAD_PAUSES:
        yield pause
        reply = yield Request("GET", link, key=False)
        if reply.status == 200:
            return reply.content
    raise PictureError(f"the picture cannot be fetched (HTTP {reply.status}): {link}")


def _links_of(data: dict[str, Any]) -> list[str]:
    """Return the links of a task that succeeded; none where they cannot be read."""
    try:
        return list(json.loads(data["resultJson"])["resultUrls"])
    except (KeyError, TypeError, ValueError):
        return []


def _seconds_until(retry_after: str) -> float:
    """Return how long a Retry-After header asks to wait: it is a number of seconds, or a date."""
    if retry_after.isdecimal():
        return float(retry_after)
    try:
        moment = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    return max(0.0, moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - time.time())


# --- what carries it --------------------------------------------------------------------------------------------------


def make_picture(prompt: str, *, http: httpx.Client) -> bytes:
    """Return a picture; the client has Kie's base URL and the key among its headers."""

    def ask(request: Request) -> Reply:
        try:
            reply = http.send(_for_httpx(http, request))
        except httpx.HTTPError:
            return Reply()
        return Reply(reply.status_code, reply.headers, reply.content)

    return _run(_picture(prompt), ask)


async def make_picture_async(prompt: str, *, http: httpx.AsyncClient) -> bytes:
    """Return a picture, as `make_picture` does."""
    talk, reply = _picture(prompt), None
    while True:
        try:
            step = talk.send(reply)
        except StopIteration as end:
            return end.value
        if isinstance(step, float):
            reply = await asyncio.sleep(step)
            continue
        try:
            got = await http.send(_for_httpx(http, step))
            reply = Reply(got.status_code, got.headers, got.content)
        except httpx.HTTPError:
            reply = Reply()


def generate(base_url: str, api_key: str, model: str, input: dict[str, Any]) -> list[str]:
    """Return the links to what any model makes, with requests."""
    with requests.Session() as session:
        session.trust_env = False  # or a .netrc could replace the key

        def ask(request: Request) -> Reply:
            headers = {"Authorization": f"Bearer {api_key}"}
            options = {"params": request.params, "json": request.body, "headers": headers, "timeout": 60}
            try:
                reply = session.request(request.method, base_url + request.url, allow_redirects=False, **options)
            except requests.RequestException:
                return Reply()
            return Reply(reply.status_code, reply.headers, reply.content)

        return _run(_links(model, input), ask)


def _run(talk: Talk, ask: Callable[[Request], Reply]) -> Any:
    """Carry what is said to Kie, and return what comes of it."""
    reply = None
    while True:
        try:
            step = talk.send(reply)
        except StopIteration as end:
            return end.value
        reply = time.sleep(step) if isinstance(step, float) else ask(step)


def _for_httpx(http: httpx.Client | httpx.AsyncClient, request: Request) -> httpx.Request:
    """Return a request of httpx; the key of the client goes to Kie's API alone."""
    built = http.build_request(request.method, request.url, params=request.params, json=request.body)
    if not request.key:
        built.headers.pop("Authorization", None)
    return built


def main(prompt: str, file: str) -> None:
    """Save a picture."""
    headers = {"Authorization": f"Bearer {os.environ['KIE_API_KEY']}"}
    with httpx.Client(base_url=BASE_URL, headers=headers, timeout=60) as http:
        Path(file).write_bytes(make_picture(prompt, http=http))


if __name__ == "__main__":
    main(*sys.argv[1:])
