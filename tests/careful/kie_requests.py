"""A careful Kie client with requests: one task per call, polled at the documented pace, callbacks only as hints."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import requests

DEADLINE, CREATE_WINDOW, NOT_YET_VISIBLE, CALLBACK_AGE = 900.0, 300.0, 30.0, 300
MAX_CREATES, MAX_BAD_POLLS = 6, 5
REFUSED = {400, 401, 402, 403, 404, 422, 433, 455}


class KieError(Exception):
    """Any failure of a call or a callback; names the task where there is one."""


class KieCallbacks:
    """Received callbacks, which are believed no further than that it is worth looking at the task at once."""

    def __init__(self, webhook_secret: str) -> None:
        """Take the webhook HMAC key from Kie's settings."""
        self._secret = webhook_secret.encode()
        self._seen: set[str] = set()
        self._hints: set[str] = set()

    def receive(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Verify one callback and note its task; False means that this task was announced before."""
        fields = {name.lower(): value for name, value in headers.items()}
        timestamp = fields.get("x-webhook-timestamp", "").strip()
        try:
            data = json.loads(body)["data"]
            task_id = data.get("taskId") or data["task_id"]
        except (ValueError, TypeError, KeyError, AttributeError):
            raise KieError("callback: no task id in the body") from None
        digest = hmac.new(self._secret, f"{task_id}.{timestamp}".encode("utf-8", "replace"), hashlib.sha256).digest()
        signature = fields.get("x-webhook-signature", "").strip().encode("utf-8", "replace")
        if not isinstance(task_id, str) or not hmac.compare_digest(base64.b64encode(digest), signature):
            raise KieError("callback: wrong or missing signature")
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
            raise KieError("callback: unreadable timestamp")
        if abs(time.time() - int(timestamp)) > CALLBACK_AGE:
            raise KieError("callback: stale")
        if task_id in self._seen:
            return False
        self._seen.add(task_id)
        self._hints.add(task_id)
        return True

    def take_hint(self, task_id: str) -> bool:
        """Tell once whether a callback for the task has come."""
        found = task_id in self._hints
        self._hints.discard(task_id)
        return found


@dataclass
class _Reply:
    """One answer: the body's code, or the HTTP status of an error, or 0 for none that can be read."""

    code: int
    text: str
    data: dict[str, Any]
    retry_after: float | None = None

    def pause(self, failures: int) -> float:
        """Say how long to leave the API alone after so many failures in a row."""
        if self.retry_after is not None:
            return max(1.0, self.retry_after)
        first = 10.0 if self.code == 429 else 2.0
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


def _ask(session: requests.Session, api_key: str, method: str, url: str, **body: Any) -> _Reply:
    """Make one request and judge its answer, without following redirects or showing the key."""
    try:
        response = session.request(method, url, timeout=30, allow_redirects=False, **body)
    except (requests.RequestException, OSError, ValueError, TypeError) as error:
        return _Reply(0, f"no answer ({type(error).__name__})", {})
    wait = _retry_after(response.headers.get("Retry-After"))
    try:
        parsed = response.json()
    except ValueError:
        parsed = None
    answer: dict[str, Any] = parsed if isinstance(parsed, dict) else {}
    code = answer.get("code") if response.status_code == 200 else response.status_code
    text = str(answer.get("msg") or answer.get("message") or "unreadable answer")
    text = text.replace(api_key, "***")[:500]
    data = answer.get("data")
    return _Reply(code if isinstance(code, int) else 0, text, data if isinstance(data, dict) else {}, wait)


def _create(session: requests.Session, api_key: str, url: str, body: dict[str, Any]) -> str:
    """Create the task, again only after a 429, and return its id."""
    end, attempt = time.monotonic() + CREATE_WINDOW, 0
    while True:
        attempt += 1
        reply = _ask(session, api_key, "POST", url, json=body)
        task_id = reply.data.get("taskId")
        if reply.code in (200, 505) and isinstance(task_id, str) and task_id:  # 505 with an id: see Kie's example
            return task_id
        if reply.code != 429:
            kind = "refused" if reply.code in REFUSED else "of unknown outcome, not repeated"
            raise KieError(f"create {kind}: code {reply.code}, {reply.text}")
        pause = reply.pause(attempt)
        if attempt == MAX_CREATES or time.monotonic() + pause > end:
            raise KieError(f"create refused: code 429, {reply.text}")
        time.sleep(pause)


def _urls(data: dict[str, Any]) -> list[str]:
    """Return the result URLs of a successful task, or none where they cannot be read."""
    try:
        urls = json.loads(data["resultJson"])["resultUrls"]
    except (ValueError, TypeError, KeyError):
        return []
    return urls if isinstance(urls, list) and all(isinstance(url, str) and url for url in urls) else []


def _sleep(seconds: float, task_id: str, callbacks: KieCallbacks | None) -> None:
    """Sleep, where there are callbacks only until one for the task comes."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and not (callbacks and callbacks.take_hint(task_id)):
        time.sleep(min(left, 0.5) if callbacks else left)


def _wait(
    session: requests.Session, api_key: str, url: str, task_id: str, deadline: float, callbacks: KieCallbacks | None
) -> list[str]:
    """Poll one task until its end and return its result URLs."""
    created, bad, hold = time.monotonic(), 0, 0.0
    while True:
        age = time.monotonic() - created
        pause = max(hold, 2.5 if age < 30 else 7.0 if age < 120 else 20.0)
        if time.monotonic() + pause > deadline:
            raise KieError(f"task {task_id}: not finished in time")
        _sleep(pause, task_id, None if hold else callbacks)
        reply = _ask(session, api_key, "GET", url, params={"taskId": task_id})
        state = reply.data.get("state")
        if reply.code in (200, 501) and state == "fail":
            reason = f"task {task_id} failed: {reply.data.get('failCode')}, {reply.data.get('failMsg')}"
            raise KieError(reason.replace(api_key, "***"))
        if reply.code == 200 and state == "success" and (urls := _urls(reply.data)):
            return urls
        if reply.code in (400, 401):
            raise KieError(f"task {task_id}: code {reply.code}, {reply.text}")
        unseen = reply.code in (404, 422) and time.monotonic() - created < NOT_YET_VISIBLE
        if unseen or (reply.code == 200 and isinstance(state, str) and state not in ("", "success")):
            bad, hold = 0, 0.0
            continue
        bad += 1
        if bad == MAX_BAD_POLLS:
            raise KieError(f"task {task_id}: {bad} bad polls in a row, at last code {reply.code}, {reply.text}")
        hold = reply.pause(bad)


def generate(
    base_url: str, api_key: str, model: str, input: dict[str, Any],
    callback_url: str | None = None, callbacks: KieCallbacks | None = None,
) -> list[str]:  # fmt: skip
    """Create one task, wait for its end and return the URLs of all its results."""
    if not api_key:
        raise KieError("no API key")
    jobs, deadline = base_url.rstrip("/") + "/api/v1/jobs", time.monotonic() + DEADLINE
    body = {"model": model, "input": input} | ({"callBackUrl": callback_url} if callback_url else {})
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {api_key}"
        task_id = _create(session, api_key, f"{jobs}/createTask", body)
        return _wait(session, api_key, f"{jobs}/recordInfo", task_id, deadline, callbacks)
