"""L, the limit: a mock of a job API that is written by hand, keeps its jobs in a dict, and checks nothing but a key.

It is Starlette under uvicorn with uvloop and httptools, and orjson, as fast as that goes without leaving the framework.
It validates nothing, keeps no journal, counts no money, holds to no rate and calls nobody back.
"""

from __future__ import annotations

import sys
import time
import uuid
from typing import Any

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

STATES = ((1, "waiting"), (3, "queuing"), (15, "generating"))

jobs: dict[str, tuple[float, str, str]] = {}


def answer(data: Any, code: int = 200, message: str = "success") -> Response:
    """Return an answer in the provider's envelope."""
    body = orjson.dumps({"code": code, "msg": message, "data": data})
    return Response(body, media_type="application/json")


def is_known(request: Request) -> bool:
    """Say whether a request brings a key."""
    return request.headers.get("authorization", "").startswith("Bearer ")


async def create(request: Request) -> Response:
    """Make a job."""
    if not is_known(request):
        return answer(None, 401, "unauthorized")
    body = await request.body()
    model = orjson.loads(body)["model"]
    task_id = uuid.uuid4().hex
    jobs[task_id] = (time.time(), model, body.decode())
    return answer({"taskId": task_id})


async def poll(request: Request) -> Response:
    """Tell how a job is."""
    if not is_known(request):
        return answer(None, 401, "unauthorized")
    task_id = request.query_params["taskId"]
    if task_id not in jobs:
        return answer(None, 422, "recordInfo is null")
    made_at, model, asked = jobs[task_id]
    now = time.time()
    return answer(
        {
            "taskId": task_id,
            "model": model,
            "state": next((state for until, state in STATES if now - made_at < until), "success"),
            "param": asked,
            "resultJson": "",
            "failCode": "",
            "failMsg": "",
            "costTime": 0,
            "createTime": int(made_at * 1000),
            "updateTime": int(now * 1000),
            "creditsConsumed": 18,
        }
    )


async def reset(request: Request) -> Response:
    """Forget all jobs."""
    jobs.clear()
    return answer(None)


routes = [
    Route("/api/v1/jobs/createTask", create, methods=["POST"]),
    Route("/api/v1/jobs/recordInfo", poll),
    Route("/reset", reset, methods=["POST"]),
]

if __name__ == "__main__":
    app = Starlette(routes=routes)
    port = int(sys.argv[1])
    uvicorn.run(app, host="127.0.0.1", port=port, loop="uvloop", http="httptools", log_level="error", access_log=False)
