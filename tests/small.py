"""A small provider for tests, written to a folder; each test lays over it what it is about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from understudy.lifecycle import State

Node = dict[str, Any]

#: The body of a create.
BODY: Node = {
    "type": "object",
    "required": ["prompt"],
    "properties": {"prompt": {"type": "string", "maxLength": 50}, "count": {"type": "number", "maximum": 100}},
}

PATHS: Node = {
    "/jobs": {
        "post": {
            "operationId": "createJob",
            "requestBody": {"required": True, "content": {"application/json": {"schema": BODY}}},
        },
        "get": {"operationId": "listJobs"},
    },
    "/jobs/{id}": {
        "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
        "get": {"operationId": "getJob"},
        "delete": {"operationId": "cancelJob"},
    },
    "/events": {"get": {"operationId": "listen"}},
    "/account": {"get": {"operationId": "account"}},
}

VIEW: Node = {
    "body": {
        "id": "$job.id",
        "state": "$job.status",
        "result": "$job.result",
        "spent": "$job.spent",
        "error": {"name": "$job.error.name", "code": "$job.error.code", "message": "$job.error.message"},
    }
}

JOB: Node = {
    "id": "job-{digits:8}",
    "states": {state.value: [state.value] for state in State},
    "create": [
        {
            "operations": ["createJob"],
            "input": "$request.body",
            "callbackUrl": "$request.body#/callback",
            "reply": {"http": 201, "body": {"id": "$job.id", "state": "$job.status"}},
        }
    ],
    "status": {"operation": "getJob", "id": "$request.path.id", "reply": VIEW},
    "cancel": {"operation": "cancelJob", "id": "$request.path.id", "from": ["queued", "running"], "reply": VIEW},
    "list": {
        "operation": "listJobs",
        "reply": {"body": {"count": "$jobs.count", "jobs": {"$each": "$jobs", "do": "$job.id"}}},
    },
    "outputs": {"$each": "$job.outputs", "do": "$output.url"},
    "assets": {"url": "https://files.small.test/{$job.id}/{$output.index}.{$output.extension}"},
}

#: Queued for two seconds, running for three, then done.
TIMELINE = [{"state": "queued", "seconds": 2}, {"state": "running", "seconds": 3}, {"state": "succeeded"}]


def create_with(**parts: Any) -> list[Node]:
    """Return the group of creates with further or other parts."""
    return [{**JOB["create"][0], **parts}]


def small(
    root: Path,
    *,
    paths: Node | None = None,
    schemas: Node | None = None,
    security: Node | None = None,
    behaviour: Node | None = None,
    scenarios: dict[str, Node] | None = None,
    **parts: Any,
) -> Path:
    """Write a provider that is called `small`.

    Args:
        root: The folder that gets `contracts/` and `fakes/`.
        paths: Paths of the OpenAPI document beside, or in place of, the usual ones.
        schemas: Schemas that the paths may refer to.
        security: Its security scheme; none by default, so that no key is needed.
        behaviour: Its behaviour file, beside the usual timeline and no latency.
        scenarios: Name → scenario.
        **parts: Parts of its kind of job beside, or in place of, the usual ones; None takes one away.

    Returns:
        The root, for the `paths` of a Fake.
    """
    document = {
        "openapi": "3.1.0",
        "info": {"title": "Small", "version": "1"},
        "servers": [{"url": "https://api.small.test"}],
        "paths": {**PATHS, **(paths or {})},
        "components": {"schemas": schemas or {}, "securitySchemes": {"key": security} if security else {}},
        "security": [{"key": []}] if security else [],
        "x-jobs": {"job": {key: part for key, part in {**JOB, **parts}.items() if part is not None}},
    }
    write(root / "contracts/small/openapi.yaml", document)
    write(root / "fakes/small/behaviour.yaml", {"timeline": TIMELINE, "latencySeconds": 0, **(behaviour or {})})
    for name, scenario in (scenarios or {}).items():
        write(root / f"fakes/small/scenarios/{name}.yaml", scenario)
    return root


def write(path: Path, node: Any) -> None:
    """Write a file of JSON, which is YAML."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(node, indent=1), encoding="utf-8")
