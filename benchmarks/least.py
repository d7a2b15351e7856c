"""The least that a stand-in can take: written by hand for Kie and for this one story, and for nothing else.

It has what a job of Kie needs: the key, the rate, the schema, the price, the clock, a journal, replies that are kept.
No contract is behind it, and no other state, error, fault, callback or scenario can be had of it. What Understudy takes
more is what it is for; below what this takes no limit can be.
"""

from __future__ import annotations

import heapq
import random
import re
from collections import OrderedDict, deque
from typing import Any

import httpx
import jsonschema_rs
import orjson

from benchmarks import played
from understudy.clock import EPOCH_SECONDS
from understudy.wire import Outcome, Reply, Request

#: Each state, and how long it lasts.
STEPS: tuple[tuple[str, float | None], ...] = (
    ("waiting", 1.0),
    ("queuing", 2.0),
    ("generating", 12.0),
    ("success", None),
)

_TEXT = {"type": "string"}
_INPUT = {"prompt": _TEXT, "aspect_ratio": _TEXT, "resolution": {"enum": ["1K", "2K", "4K"]}, "output_format": _TEXT}
_SCHEMA = {
    "type": "object",
    "required": ["model", "input"],
    "properties": {"model": _TEXT, "input": {"type": "object", "required": ["prompt"], "properties": _INPUT}},
}
_JSON = [("content-type", "application/json")]
_COST = 18
_MOST_JOBS = _MOST_ENTRIES = 10_000


class Account:
    """What one key has."""

    def __init__(self) -> None:
        self.balance = 10**12
        self.active = 0
        self.asked = deque[float](maxlen=10_000)
        self.movements = deque[tuple[float, str, int, int]](maxlen=1_000)


class Job:
    """One job."""

    __slots__ = ("account", "at", "created_at", "ended_at", "id", "input", "model", "told", "updated_at")

    def __init__(self, job_id: str, account: Account, body: dict[str, Any], now: float) -> None:
        self.id, self.account, self.model, self.input = job_id, account, body["model"], body["input"]
        self.at = 0
        self.created_at = self.updated_at = now
        self.ended_at = 0.0
        self.told: Reply | None = None


class Least:
    """Answers creates and polls; `sleep` moves its time."""

    def __init__(self) -> None:
        self._now = EPOCH_SECONDS
        self._agenda: list[tuple[float, int, Job]] = []
        self._planned = 0
        self._accounts: dict[str, Account] = {}
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._journal = deque[tuple[Any, ...]](maxlen=_MOST_ENTRIES)
        self._random = random.Random(0)
        self._valid = jsonschema_rs.validator_for(_SCHEMA)
        self._refused = re.compile("^invalid")
        self._routes = {("POST", played.CREATE_PATH): self._create, ("GET", played.POLL_PATH): self._poll}

    @property
    def clock(self) -> Least:
        """Itself, which is its own clock."""
        return self

    def sleep(self, seconds: float) -> None:
        """Move time on, and all jobs with it."""
        until = self._now + seconds
        while self._agenda and self._agenda[0][0] <= until:
            self._now, _, job = heapq.heappop(self._agenda)
            self._enter(job, job.at + 1)
        self._now = until

    def handle(self, request: Request) -> Outcome:
        """Answer a request."""
        answer, now = self._routes[request.method, request.path], self._now
        key = request.header["authorization"]
        assert key.startswith("Bearer ")
        assert not self._refused.search(key)
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = Account()
        assert len(account.asked) < 10_000 or now - account.asked[0] >= 0.001
        account.asked.append(now)
        reply = answer(request, account, now)
        self._journal.append((now, request.method, request.path, reply.status, reply.jobs, request.body, reply.body))
        return reply

    def _enter(self, job: Job, at: int) -> None:
        state, seconds = STEPS[at]
        job.at, job.updated_at, job.told = at, self._now, None
        self._journal.append((self._now, job.id, state))
        if seconds is not None:
            self._planned += 1
            heapq.heappush(self._agenda, (self._now + seconds, self._planned, job))
        else:
            job.ended_at = self._now
            job.account.active -= 1
            self._ended[job.id] = None

    def _create(self, request: Request, account: Account, now: float) -> Reply:
        assert request.header["content-type"] == "application/json"
        body = orjson.loads(request.body)
        assert self._valid.is_valid(body)
        assert account.balance >= _COST
        account.balance -= _COST
        account.active += 1
        job = Job(f"{self._random.getrandbits(128):032x}", account, body, now)
        account.movements.append((now, job.id, _COST, account.balance))
        self._jobs[job.id] = job
        if len(self._jobs) > _MOST_JOBS:
            del self._jobs[self._ended.popitem(last=False)[0]]
        self._enter(job, 0)
        return Reply(200, _JSON, _written({"taskId": job.id}), "createTask", None, (job.id,))

    def _poll(self, request: Request, account: Account, now: float) -> Reply:
        job = self._jobs[request.parameters["taskId"]]
        assert job.account is account
        if job.told is None:
            links = [f"https://tempfile.aiquickdraw.com/p/{job.id}_0.png"]
            data = {
                "taskId": job.id,
                "model": job.model,
                "state": STEPS[job.at][0],
                "param": orjson.dumps({"model": job.model, "input": job.input}).decode(),
                "resultJson": orjson.dumps({"resultUrls": links}).decode() if job.ended_at else "",
                "failCode": "",
                "failMsg": "",
                "costTime": round((job.ended_at - job.created_at) * 1000) if job.ended_at else 0,
                "createTime": round(job.created_at * 1000),
                "updateTime": round(job.updated_at * 1000),
                **({"completeTime": round(job.ended_at * 1000)} if job.ended_at else {}),
                "creditsConsumed": _COST,
            }
            job.told = Reply(200, _JSON, _written(data), "recordInfo", None, (job.id,))
        return job.told

    def client(self) -> httpx.Client:
        """Return a client that talks to it."""
        return httpx.Client(transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path, _, query = request.url.raw_path.decode().partition("?")
        headers = [(name.decode().lower(), value.decode()) for name, value in request.headers.raw]
        reply = self.handle(Request(request.method, path, query, headers, request.content))
        assert isinstance(reply, Reply)
        return httpx.Response(reply.status, headers=reply.headers, content=reply.body)


def _written(data: dict[str, Any]) -> bytes:
    return orjson.dumps({"code": 200, "msg": "success", "data": data})
