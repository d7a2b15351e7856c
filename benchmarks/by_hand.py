"""Mocks in this process as people write them: a job API by hand behind respx, pytest-httpx and responses; the floor."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import responses
import respx
from pytest_httpx import HTTPXMock
from pytest_httpx._options import _HTTPXMockOptions  # as its fixture has them, which lives for one test only

from benchmarks import played

CREATE_URL = played.SERVER + played.CREATE_PATH
POLL_URL = played.SERVER + played.POLL_PATH


def constant(request: httpx.Request) -> httpx.Response:
    """Answer what was written before: the floor of anything that answers an httpx client."""
    return httpx.Response(200, content=_CREATED if request.method == "POST" else _POLLED, headers=_JSON)


_JSON = {"content-type": "application/json"}
_CREATED = json.dumps(played.CREATED).encode()
_POLLED = json.dumps(played.POLLED).encode()


class ByHand:
    """A job API by hand, as tests have it: jobs in a dict, and answers that are made of them."""

    def __init__(self) -> None:
        self._jobs: dict[str, Any] = {}

    def create(self, body: bytes) -> Any:
        """Make a job."""
        task_id = uuid.uuid4().hex
        self._jobs[task_id] = {**played.POLLED["data"], "taskId": task_id, "model": json.loads(body)["model"]}
        return {**played.CREATED, "data": {"taskId": task_id}}

    def poll(self, task_id: str) -> Any:
        """Tell how it is."""
        return {**played.POLLED, "data": self._jobs[task_id]}

    def httpx_create(self, request: httpx.Request) -> httpx.Response:
        """Answer a create of httpx."""
        return httpx.Response(200, json=self.create(request.content))

    def httpx_poll(self, request: httpx.Request) -> httpx.Response:
        """Answer a poll of httpx."""
        return httpx.Response(200, json=self.poll(request.url.params["taskId"]))


@contextmanager
def by_respx() -> Iterator[None]:
    """Patch httpx as a user of respx does."""
    jobs = ByHand()
    with respx.mock(assert_all_called=False) as router:
        router.post(CREATE_URL).mock(side_effect=jobs.httpx_create)
        router.get(POLL_URL).mock(side_effect=jobs.httpx_poll)
        yield


@contextmanager
def by_pytest_httpx() -> Iterator[None]:
    """Patch httpx as the fixture of pytest-httpx does."""
    jobs = ByHand()
    mock = HTTPXMock(_HTTPXMockOptions(can_send_already_matched_responses=True))
    mock.add_callback(jobs.httpx_create, method="POST", url=CREATE_URL)
    mock.add_callback(jobs.httpx_poll, method="GET")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx.HTTPTransport, "handle_request", lambda own, request: mock._handle_request(own, request))
        yield


@contextmanager
def by_responses() -> Iterator[None]:
    """Patch requests as a user of responses does."""
    jobs = ByHand()

    def create(request: Any) -> tuple[int, dict[str, str], str]:
        return 200, {}, json.dumps(jobs.create(request.body))

    def poll(request: Any) -> tuple[int, dict[str, str], str]:
        return 200, {}, json.dumps(jobs.poll(request.params["taskId"]))

    with responses.RequestsMock() as mock:
        mock.add_callback("POST", CREATE_URL, create, content_type="application/json")
        mock.add_callback("GET", POLL_URL, poll, content_type="application/json")
        yield
