"""A result picture of 4K with its prompt on it: the first fetch in a process, and the next one."""

from __future__ import annotations

import json

from benchmarks import played
from benchmarks.figures import Found, Scale, Series
from benchmarks.in_process import fake, timed
from benchmarks.programs import apart

BODY = {**played.BODY, "input": {**played.BODY["input"], "resolution": "4K"}}


def fetch(scale: Scale) -> Found:
    """Fetch it twice, in a new process each round, which has drawn nothing before."""
    rounds = [apart(fetched) for _ in range(scale.rounds(7))]
    return {"first": Series([first for first, _ in rounds]), "again": Series([again for _, again in rounds])}


def fetched() -> tuple[float, float]:
    """Return how many milliseconds the first fetch takes, and the second."""
    with fake() as one, one.client() as client:
        task_id = client.post(played.CREATE_PATH, json=BODY).json()["data"]["taskId"]
        one.clock.sleep(60)
        task = client.get(played.POLL_PATH, params={"taskId": task_id}).json()["data"]
        (link,) = json.loads(task["resultJson"])["resultUrls"]

        def get() -> None:
            assert client.get(link).headers["content-type"] == "image/png"

        return timed(get, 1) / 1000, timed(get, 1) / 1000
