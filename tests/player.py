"""A player that answers what a flow of the client sends, without any I/O, and what it may answer."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from understudy.contract.model import Contract
from understudy.exchange import Answer, NoAnswer, Send, Sleep
from understudy.flows import Flows
from understudy.folders import find_provider
from understudy.inbox import Inbox
from understudy.library import load_provider
from understudy.lifecycle import Job, Json

NOW = 1_800_000_000.0
RESET = NoAnswer("ReadError: reset", sent=True)
HTML = b"<html>Bad gateway</html>"


def reply(body: Json = None, status: int = 200, **headers: str) -> Answer:
    """Return an answer; the underscores of a header's name are hyphens."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, content, 0)


@cache
def contract_of(provider: str, *paths: Path) -> Contract:
    """Return the contract of a provider, read once."""
    return load_provider(find_provider(provider, paths))[0]


class Player:
    """Plays a provider to flows, on a clock that their sleeps move.

    Args:
        provider: The provider's name.
        *paths: Where it is.
        seconds: How long each request takes.
    """

    def __init__(self, provider: str = "kie", *paths: Path, seconds: float = 0) -> None:
        self.flows = Flows(contract_of(provider, *paths), api_key="sk-12345")
        self.now = NOW
        self.sent: list[Send] = []
        self.times: list[float] = []
        self._seconds = seconds

    def play(self, flow: Generator[Any, Any, Any], *script: Answer | NoAnswer) -> Any:
        """Return what a flow returns that gets these answers; the last one stands for all that follow."""
        answers = [*script]
        try:
            command = next(flow)
            while True:
                if isinstance(command, Sleep):
                    self.now += command.seconds
                    command = flow.send(None)
                    continue
                self.sent.append(command)
                self.times.append(self.now - NOW)
                self.now += self._seconds
                answer = answers.pop(0) if len(answers) > 1 else answers[0]
                given = answer if isinstance(answer, NoAnswer) else replace(answer, at=self.now)
                command = flow.throw(given) if isinstance(given, NoAnswer) else flow.send(given)
        except StopIteration as stop:
            return stop.value

    def submit(self, *script: Answer | NoAnswer, seconds: float = 600, **options: Any) -> Any:
        """Play a create."""
        given = {"model": "m", "callback_url": None, "operation": None, "count": None, **options}
        flow = self.flows.submit({"prompt": "x"}, timeout_seconds=seconds, now=lambda: self.now, **given)
        return self.play(flow, *script)

    def wait(
        self,
        *script: Answer | NoAnswer,
        seconds: float | None = 600,
        job: Job | None = None,
        inbox: Inbox | None = None,
    ) -> Any:
        """Play a wait."""
        waiting = self.flows.waiting(job or Job(id="t"), timeout_seconds=seconds, now=lambda: self.now, inbox=inbox)
        return self.play(self.flows.wait(waiting, lambda: self.now), *script)


# What each provider answers: a create, and the state of a job.
CREATED = {
    "kie": {"code": 200, "data": {"taskId": "t"}},
    "shortapi": {"code": 0, "data": {"job_id": "t"}},
    "oxen": {"generations": [{"generation_id": "t", "status": "queued"}]},
}
WORDS = {
    "kie": ("waiting", "generating", "success", "fail"),
    "shortapi": (0, 1, 2, 3),
    "oxen": ("queued", "processing", "succeeded", "failed"),
}


def told(provider: str, word: Json, **more: Json) -> Answer:
    key = {"kie": "state", "shortapi": "status", "oxen": "status"}[provider]
    body = {key: word, **more}
    return reply({"kie": {"code": 200, "data": body}, "shortapi": {"code": 0, "data": body}, "oxen": body}[provider])


#: Any JSON value.
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
