"""What is played: a job of Kie, in the words of every side, and a provider whose limits are counted but never met."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import yaml

from understudy.folders import bundled_root

PROVIDER = "kie"
SERVER = "https://api.kie.ai"
CREATE_PATH = "/api/v1/jobs/createTask"
POLL_PATH = "/api/v1/jobs/recordInfo"
KEY = "Bearer understudy-key"
BODY: dict[str, Any] = {
    "model": "nano-banana-pro",
    "input": {"prompt": "a lighthouse in the fog", "aspect_ratio": "16:9", "resolution": "2K", "output_format": "png"},
}

#: Limits of the contract, and what they are raised to: so many requests in a millisecond, and so many jobs at one time.
OUT_OF_REACH = {
    r"count: \d+, perSeconds: \d+": "count: 10000, perSeconds: 0.001",
    r"(?<=\n        )jobs: \d+": "jobs: 1000000000",
}

#: The scenario in which a fault waits for a request that never comes.
ARMED = "armed"

TASK_ID = "cd072cd8be6f9f62ac4c09c28206e7e3"
CREATED: dict[str, Any] = {"code": 200, "msg": "success", "data": {"taskId": TASK_ID}}
POLLED: dict[str, Any] = {
    "code": 200,
    "msg": "success",
    "data": {
        "taskId": TASK_ID,
        "model": BODY["model"],
        "state": "waiting",
        "param": json.dumps(BODY, separators=(",", ":")),
        "resultJson": "",
        "failCode": "",
        "failMsg": "",
        "costTime": 0,
        "createTime": 1767225600500,
        "updateTime": 1767225600500,
        "creditsConsumed": 18,
    },
}


def write_provider(folder: Path) -> Path:
    """Write the provider below a folder, with limits, money and faults out of reach, and return the folder."""
    bundled = bundled_root()
    contract, fake = folder / "contracts" / PROVIDER, folder / "fakes" / PROVIDER
    contract.mkdir(parents=True)
    fake.mkdir(parents=True)

    source = bundled / "contracts" / PROVIDER
    text = (source / "openapi.yaml").read_text(encoding="utf-8")
    for limit, raised in OUT_OF_REACH.items():
        text, times = re.subn(limit, raised, text)
        assert times, limit
    (contract / "openapi.yaml").write_text(text, encoding="utf-8")

    behaviour = yaml.safe_load((bundled / "fakes" / PROVIDER / "behaviour.yaml").read_text(encoding="utf-8"))
    (fake / "behaviour.yaml").write_text(yaml.safe_dump({**behaviour, "balance": 10**12}))
    shutil.copytree(bundled / "fakes" / PROVIDER / "scenarios", fake / "scenarios")
    armed = {
        "description": "A fault waits for a job that never comes.",
        "faults": [{"fault": "answer-lost", "nth": 10**9}],
    }
    (fake / "scenarios" / f"{ARMED}.yaml").write_text(yaml.safe_dump(armed))
    return folder


def request(method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> bytes:
    """Return a request as it is written on a socket."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = {"Host": "127.0.0.1", "Authorization": KEY, **(headers or {})}
    if body is not None:
        lines |= {"Content-Type": "application/json", "Content-Length": str(len(content))}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + content
