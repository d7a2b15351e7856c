"""pytest-httpserver as a program: the same job, with a handler for each request, as its documents show it."""

from __future__ import annotations

import json
import sys
import time
import uuid

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

jobs: dict[str, str] = {}


def create(request: Request) -> Response:
    """Make a job."""
    task_id = uuid.uuid4().hex
    jobs[task_id] = request.get_data(as_text=True)
    return answer({"taskId": task_id})


def poll(request: Request) -> Response:
    """Tell how a job is."""
    task_id = request.args["taskId"]
    return answer(
        {"taskId": task_id, "state": "waiting", "param": jobs[task_id], "resultJson": "", "creditsConsumed": 18}
    )


def answer(data: object) -> Response:
    """Return an answer in the provider's envelope."""
    return Response(json.dumps({"code": 200, "msg": "success", "data": data}), content_type="application/json")


if __name__ == "__main__":
    server = HTTPServer(host="127.0.0.1", port=int(sys.argv[1]), threaded=True)
    key = {"Authorization": "Bearer understudy-key"}
    server.expect_request("/api/v1/jobs/createTask", method="POST", headers=key).respond_with_handler(create)
    server.expect_request("/api/v1/jobs/recordInfo", method="GET", headers=key).respond_with_handler(poll)
    with server:
        while True:
            time.sleep(60)
