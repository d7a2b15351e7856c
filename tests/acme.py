"""A provider that uses every part of the format, in two folders, for the tests of `check`."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from understudy.check import CheckReport, check_provider
from understudy.consistency import check_recording
from understudy.contract.closed import check_closed
from understudy.contract.loader import load
from understudy.folders import Folders
from understudy.library import load_provider
from understudy.lifecycle import Json
from understudy.playback import play

OPENAPI = """
openapi: 3.1.0
info: {title: Acme, version: "1"}
servers: [{url: "https://api.acme.test/v1"}]
security: [{key: []}]
paths:
  /jobs:
    post:
      operationId: make
      requestBody:
        required: true
        content:
          application/json:
            schema:
              oneOf: [{$ref: "#/components/schemas/Cat"}, {$ref: "#/components/schemas/Dog"}]
              discriminator:
                propertyName: model
                mapping: {cat: "#/components/schemas/Cat", dog: Dog}
            examples:
              plain: {value: {model: cat, input: {prompt: a lighthouse}}}
      responses:
        "200": {description: Made, content: {application/json: {schema: {$ref: "#/components/schemas/Made"}}}}
        4XX: &error {description: Wrong, content: {application/json: {schema: {$ref: "#/components/schemas/Error"}}}}
        5XX: *error
      callbacks:
        ended:
          "{$request.body#/hook}":
            post:
              requestBody:
                content: {application/json: {schema: {$ref: "#/components/schemas/Job"}}}
    get: &plain
      operationId: all
      responses: {"200": {description: All}, default: *error}
  /jobs/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get:
      operationId: look
      responses:
        "200": {description: One, content: {application/json: {schema: {$ref: "#/components/schemas/Job"}}}}
        default: *error
    delete: {operationId: stop, responses: {"200": {description: Stopped}, default: *error}}
  /blocking:
    post:
      operationId: makeNow
      requestBody:
        content: {application/json: {schema: {type: object, required: [model], properties: {model: {type: string}}}}}
      responses: {"200": {description: Made}, default: *error}
  /events: {get: {operationId: listen, responses: {"200": {description: A stream}}}}
  /models: {get: {operationId: models, responses: {"200": {description: All}}}}
  /files:
    post:
      operationId: upload
      requestBody:
        content:
          multipart/form-data:
            schema: {type: object, required: [name], properties: {file: {}, name: {type: string}}}
      responses: {"200": {description: Kept}, default: *error}
  /links:
    post:
      operationId: renew
      requestBody:
        content:
          application/x-www-form-urlencoded:
            schema: {type: object, required: [url], properties: {url: {type: string}}}
      responses: {"200": {description: Renewed}, default: *error}
  /balance: {get: {operationId: balance, responses: {"200": {description: The balance}}}}
components:
  securitySchemes: {key: {type: apiKey, in: header, name: X-Key}}
  schemas:
    Cat: &cat
      type: object
      required: [model, input]
      properties:
        model: {const: cat}
        hook: {type: string}
        input:
          type: object
          required: [prompt]
          properties: {prompt: {type: string}, size: {enum: [small, large], default: small}}
    Dog: {<<: *cat, properties: {model: {enum: [dog]}, hook: {type: string}, input: {type: object}}}
    Made: {type: object, required: [jobs], properties: {jobs: {type: array}}}
    Job:
      type: object
      required: [id, state]
      properties: {id: {type: string}, state: {enum: [waiting, held, working, done, broken, stopped]}}
    Error: {type: object, required: [error], properties: {error: {type: object, required: [code, text]}}}
"""

JOBS = """
job:
  x-evidence: {mark: documented, source: its page}
  id: "job-{hex:8}"
  states: {queued: [waiting, held], running: [working], succeeded: [done], failed: [broken], cancelled: [stopped]}
  create:
    - operations: [make]
      model: $request.body#/model
      input: $request.body#/input
      callbackUrl: $request.body#/hook
      reply:
        headers: {X-Jobs: $jobs.count}
        body: {jobs: {$each: $jobs, do: {id: $job.id}}}
    - operations: [makeNow]
      model: $request.body#/model
      sync: {}
      reply:
        http: {default: 200, failed: 500}
        body: {url: $job.outputs.0.url}
        bodyByState: {failed: {error: {code: broken, text: $job.error.message}}}
        states: {succeeded: [{when: $statusCode == 200}], failed: [{when: $statusCode == 500}]}
  status:
    operation: look
    id: $request.path.id
    notYetVisible: {error: notFound, withinSeconds: 10}
    reply:
      body: &job
        id: $job.id
        state: $job.status
        input: $job.input
        made: $job.createdAt|epoch
        took: $job.durationSeconds|seconds|omit
        result: $job.result|json|omit
        why: $job.error.message|omit
  cancel:
    {operation: stop, id: $request.path.id, from: [queued], reply: {body: {ok: true}}, refused: {body: {ok: false}}}
  list: {operation: all, reply: {body: {$each: $jobs, do: {id: $job.id, state: $job.status}}}}
  events:
    operation: listen
    scope: account
    frames:
      running: [{event: moved, data: {id: $job.id, state: $job.status}}]
      succeeded: [{event: ended, data: {id: $job.id, state: $job.status}}]
  callback:
    trigger: [succeeded, failed]
    view: {body: *job}
    headers: {X-Attempt: $delivery.attempt}
    sign:
      algorithm: hmac-sha256
      key: $secret.hook
      message: "{$job.id}.{$delivery.timestamp}"
      encoding: hex
      headers: {X-Signature: $signature, X-Time: $delivery.timestamp}
  outputs: {$each: $job.outputs, do: $output.url}
  assets:
    url: "https://files.acme.test/{$job.id}/{$output.index}.{$output.extension}"
    lifetimeSeconds: 60
    renew: {operation: renew, url: $request.body#/url, lifetimeSeconds: 60, reply: {body: {url: $asset.url}}}
  errors:
    unauthorized: [{http: 401, message: No key, body: &body {error: {code: $error.name, text: $error.message}}}]
    malformed: [{http: 400, message: Not readable, body: *body}]
    invalid: [{http: 422, message: "{$violation.field} is wrong", body: *body}]
    notFound: [{http: 404, message: "No job {$request.path.id}", body: *body}]
    unknownPath: [{http: 404, message: Nothing here, body: *body}]
    credits: [{http: 402, message: No money, body: *body}]
    expired: [{http: 410, message: Gone, body: *body}]
    serverError: [{http: 500, message: Broken, body: *body, committed: unknown}]
    odd: [{operations: [make], http: 409, message: "It was {$job.id}", body: *body, committed: "yes"}]
  failures: {rude: {message: A rude prompt, refund: full}}
  models: {list: {operation: models, reply: {body: {$each: $models, do: $model.id}}}}
  replies: {balance: {body: {money: $account.balance}}}
  files:
    - operations: [upload]
      content: $request.body#/file
      name: $request.body#/name
      url: "https://files.acme.test/uploads/{$file.path}"
      reply: {body: {link: $file.url, at: $file.uploadedAt|iso}}
  prices:
    unit: USD
    rules: [{when: $job.model == "cat", amount: 2}, {amount: 1, x-evidence: {mark: guessed, source: none}}]
"""

BEHAVIOUR = """
timeline: [{status: waiting, seconds: 1}, {status: held, seconds: 1}, {state: running, seconds: 8}, {state: succeeded}]
secrets: {hook: acme-secret}
balance: 100
pictures: {text: $job.input#/prompt}
"""

SCENARIOS = {
    "rude": {
        "description": "It fails.",
        "timeline": [{"state": "running", "reads": 2}, {"state": "failed"}],
        "failure": "rude",
    },
    "poor": {"description": "There is no money.", "balance": 0},
    "stuck": {"description": "It never ends.", "timeline": [{"state": "queued"}]},
    "odd": {"description": "A wrong answer, and a job all the same.", "error": "odd"},
    "broken": {"description": "A server error.", "error": "serverError"},
    "late": {"description": "It shows after three seconds.", "visibleAfterSeconds": 3},
}

SOURCE = {"document": "its page", "mark": "documented"}
MAKE = {"operation": "make", "body": {"model": "cat", "input": {"prompt": "a lighthouse"}}}
MADE = {"status": 200, "body": {"jobs": [{"id": "id-0001"}]}}


def exchange(request: Any, response: Any) -> dict[str, Any]:
    """Return a recorded exchange."""
    return {"request": request, "response": response}


def looked(state: str, **more: Any) -> dict[str, Any]:
    """Return a recorded status read of the job that `MADE` speaks of."""
    body = {"id": "id-0001", "state": state, **more}
    return exchange({"operation": "look", "path": {"id": "id-0001"}}, {"status": 200, "body": body})


@functools.cache
def _parsed(text: str) -> Any:
    return yaml.safe_load(text)


def _copied(text: str) -> Any:
    """Return a document as data in which nothing is shared, so that a test can change one part without another."""
    return json.loads(json.dumps(_parsed(text)))


class Acme:
    """The two folders; what a test wants to be different is laid over them before they are written.

    Args:
        root: An empty folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.openapi: dict[str, Any] = _copied(OPENAPI)
        self.jobs: dict[str, Any] = _copied(JOBS)
        self.behaviour: dict[str, Any] = _copied(BEHAVIOUR)
        self.scenarios: dict[str, Any] = copy.deepcopy(SCENARIOS)
        self.recordings: dict[str, Any] = {}

    @property
    def job(self) -> dict[str, Any]:
        """The one kind of job."""
        job: dict[str, Any] = self.jobs["job"]
        return job

    @property
    def cat(self) -> dict[str, Any]:
        """The schema of a body for the model `cat`."""
        schema: dict[str, Any] = self.openapi["components"]["schemas"]["Cat"]
        return schema

    def path_of(self, name: str) -> Path:
        """Return where a recording is written."""
        return self.folders.contract / "recordings" / f"{name}.yaml"

    @property
    def folders(self) -> Folders:
        """Where it is."""
        return Folders(self.root / "contracts" / "acme", self.root / "fakes" / "acme")

    def write(self) -> Folders:
        """Write all files."""
        files = {
            self.folders.contract / "openapi.yaml": {**self.openapi, "x-jobs": self.jobs},
            self.folders.fake / "behaviour.yaml": self.behaviour,
            **{self.folders.fake / "scenarios" / f"{name}.yaml": node for name, node in self.scenarios.items()},
            **{self.path_of(name): node for name, node in self.recordings.items()},
        }
        for path, node in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(node, indent=1), encoding="utf-8")
        return self.folders

    def record(self, *exchanges: Mapping[str, Any], name: str = "one", **more: Any) -> None:
        """Add a recording."""
        self.recordings[name] = {"source": SOURCE, "exchanges": list(exchanges), **more}

    def check(self) -> CheckReport:
        """Write all files and check them."""
        return check_provider(self.write())

    def problems(self) -> list[str]:
        """Write all files, check them, and return the texts of the problems."""
        return [problem.text for problem in self.check().problems]

    def notes(self) -> list[str]:
        """Write all files, check them, and return the texts of the notes."""
        return [note.text for note in self.check().notes]


def told(acme: Acme, *exchanges: Any, name: str = "one", **more: Any) -> list[str]:
    """Return what is wrong with a recording, without its schema problems."""
    acme.record(*exchanges, name=name, **more)
    acme.write()
    document = load(acme.path_of(name))
    assert check_closed(document, "recording")
    contract, behaviour = load_provider(acme.folders)
    check_recording(contract, behaviour, document)
    if not document.problems:
        play(contract, behaviour, document)
    return [problem.text for problem in document.problems if not problem.text.startswith("openapi.yaml")]


def read_as(body: Json, **request: Any) -> dict[str, Any]:
    """Return a recorded read of the job `id-0001`."""
    return exchange({"operation": "look", "path": {"id": "id-0001"}, **request}, {"status": 200, "body": body})
