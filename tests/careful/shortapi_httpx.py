"""A careful ShortAPI client with httpx: one job per call, polled to its end, its files downloaded without the key."""

import time
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

DEADLINE, CREATE_WINDOW = 900.0, 300.0
MAX_CREATES, MAX_BAD_POLLS, MAX_DOWNLOADS = 6, 5, 4
TROUBLE = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError, TypeError)


class ShortApiError(Exception):
    """Any failure of a call; names the job where there is one."""


@dataclass
class _Reply:
    """One answer: its HTTP status, or 0 where none came, the code in its body, and its data."""

    status: int
    code: int | None
    text: str
    data: dict[str, Any]
    retry_after: float | None = None

    def __str__(self) -> str:
        """Describe the answer for the text of an error."""
        return f"HTTP {self.status}, code {self.code}, {self.text}"


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


def _pause(retry_after: float | None, failures: int, first: float) -> float:
    """Say how long to leave a server alone after so many failures in a row."""
    return min(60.0, first * 2.0 ** (failures - 1)) if retry_after is None else max(1.0, retry_after)


def _ask(api: httpx.Client, api_key: str, method: str, path: str, **body: Any) -> _Reply:
    """Make one request and judge its answer, without following redirects or showing the key."""
    try:
        response = api.request(method, path, headers={"Authorization": f"Bearer {api_key}"}, **body)
    except TROUBLE as error:
        return _Reply(0, None, f"no answer ({type(error).__name__})", {})
    try:
        parsed = response.json()
    except ValueError:
        parsed = None
    answer: dict[str, Any] = parsed if isinstance(parsed, dict) else {}
    code, data = answer.get("code"), answer.get("data")
    text = str(answer.get("info") or answer.get("message") or answer.get("error") or "unreadable answer")
    return _Reply(
        response.status_code,
        code if type(code) is int else None,
        text.replace(api_key, "***")[:500],
        data if isinstance(data, dict) else {},
        _retry_after(response.headers.get("Retry-After")),
    )


def _create(api: httpx.Client, api_key: str, url: str, body: dict[str, Any]) -> str:
    """Create the job, again only after a 429, and return its id."""
    end, attempt = time.monotonic() + CREATE_WINDOW, 0
    while True:
        attempt += 1
        reply = _ask(api, api_key, "POST", url, json=body)
        job_id = reply.data.get("job_id")
        if (reply.status, reply.code) == (200, 0) and isinstance(job_id, str) and job_id:
            return job_id
        pause = _pause(reply.retry_after, attempt, 10.0)
        if reply.status != 429 or attempt == MAX_CREATES or time.monotonic() + pause > end:
            raise ShortApiError(f"create failed and was not repeated: {reply}")
        time.sleep(pause)


def _urls(data: dict[str, Any]) -> list[str]:
    """Return the image URLs of a succeeded job, or none where they cannot be read."""
    try:
        urls = [image["url"] for image in data["result"]["images"]]
    except (KeyError, TypeError):
        return []
    return urls if all(isinstance(url, str) and url for url in urls) else []


def _wait(api: httpx.Client, api_key: str, url: str, job_id: str, deadline: float) -> list[str]:
    """Poll the job until its end and return its image URLs."""
    created, bad, hold = time.monotonic(), 0, 0.0
    while True:
        pause = max(hold, min(10.0, 3.0 + (time.monotonic() - created) / 30))
        if time.monotonic() + pause > deadline:
            raise ShortApiError(f"job {job_id}: not finished in time")
        time.sleep(pause)
        reply = _ask(api, api_key, "GET", url, params={"id": job_id})
        data, good = reply.data, (reply.status, reply.code) == (200, 0)
        status = data.get("status") if good else None
        failed = type(status) is int and status >= 3  # what every known client takes for a failure
        if failed or (good and data.get("refunded") is True):
            reason = str(data.get("error") or "no reason given").replace(api_key, "***")
            raise ShortApiError(f"job {job_id} failed: status {status}, {reason}")
        if status == 2 and (urls := _urls(data)):
            return urls
        if reply.status in (400, 401):
            raise ShortApiError(f"job {job_id}: {reply}")
        if status is not None and status != 2:
            bad, hold = 0, 0.0
            continue
        bad += 1
        if bad == MAX_BAD_POLLS:
            raise ShortApiError(f"job {job_id}: {bad} bad polls in a row, at last {reply}")
        hold = _pause(reply.retry_after, bad, 10.0 if 429 in (reply.status, reply.code) else 2.0)


def _download(files: httpx.Client, job_id: str, url: str, deadline: float) -> bytes:
    """Fetch one result file, which may be repeated after trouble on the way."""
    for attempt in range(1, MAX_DOWNLOADS + 1):
        wait: float | None = None
        try:
            response = files.get(url)
            status, kind = response.status_code, response.headers.get("Content-Type", "").lower()
            if status == 200 and response.content and not kind.startswith(("text/", "application/json")):
                return response.content
            wait, trouble = _retry_after(response.headers.get("Retry-After")), f"HTTP {status}, {kind or 'no type'}"
        except TROUBLE as error:
            status, trouble = 0, type(error).__name__
        pause = _pause(wait, attempt, 10.0 if status == 429 else 2.0)
        final = 400 <= status < 500 and status not in (408, 425, 429)
        if final or attempt == MAX_DOWNLOADS or time.monotonic() + pause > deadline:
            break
        time.sleep(pause)
    raise ShortApiError(f"job {job_id}: a result cannot be downloaded: {trouble}")


def generate(base_url: str, api_key: str, model: str, input: dict[str, Any]) -> list[bytes]:
    """Create one job, wait for its end and return the content of all its result files."""
    if not api_key:
        raise ShortApiError("no API key")
    jobs, deadline = base_url.rstrip("/") + "/api/v1/job", time.monotonic() + DEADLINE
    with httpx.Client(trust_env=False, timeout=30) as api:
        job_id = _create(api, api_key, f"{jobs}/create", {"model": model, "args": input})
        urls = _wait(api, api_key, f"{jobs}/query", job_id, deadline)
    with httpx.Client(trust_env=False, timeout=30, follow_redirects=True) as files:
        return [_download(files, job_id, url, deadline) for url in urls]
