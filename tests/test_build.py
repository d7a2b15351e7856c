"""Tests of compiling a contract: what `x-jobs` says becomes data, and what is wrong is named, all of it at once."""

from __future__ import annotations

import contextlib
import json
import tempfile
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.documents import JOBS, OPENAPI, contract, contract_problems, document, job_of, json_values, shown, text_of
from understudy.contract.build import load_contract
from understudy.contract.loader import follow, pointer_to
from understudy.contract.model import Failure, Pace, Rate
from understudy.contract.operations import path_names
from understudy.contract.templates import Literal
from understudy.errors import ContractInvalid
from understudy.lifecycle import TERMINAL, Job, State
from understudy.reach import host_of

BUNDLED = sorted(path.parent for path in Path(__file__).parents[1].glob("contracts/*/openapi.yaml"))

#: Everything that an entry of `x-jobs` can have.
JOB = """
id: "job_{hex:8}"
states: {queued: [waiting], running: [1], succeeded: [done], failed: [broken], unknown: failed}
successCriteria: $response.body#/ok
create:
  - operations: [make]
    model: $request.body#/model
    input: [$request.body#/input, $request.body#/old]
    count: $request.body#/n|default(1)
    callbackUrl: $request.header.X-Callback
    claims: [$request.body#/team/name, $request.query.a]
    validates: late
    sync: {when: $request.query.wait, maxSeconds: 60}
    reply: {http: 201, body: {id: $job.id}}
status:
  operation: look
  id: $request.path.id
  reply: {body: {id: $job.id, state: $job.status}}
  notYetVisible: {error: notFound, withinSeconds: 10}
  giveUpSeconds: 900
  poll: [{untilSeconds: 30, everySeconds: 3}, {everySeconds: 10}]
cancel: {operation: stop, id: $request.path.id, from: [queued], reply: {body: 1}, refused: {http: 409}}
list:
  operation: all
  reply: {body: {$each: $jobs, do: $job.id}}
  filter: [{by: $request.query.state, is: $job.status, otherwise: [waiting, 1]}, {by: $request.query.m, is: $job.model}]
events:
  operation: listen
  scope: job
  id: $request.query.id
  keepAlive: {everySeconds: 15, comment: alive}
  frames: {running: [{event: start, data: {id: $job.id}}], x-evidence: {mark: guessed, source: a}}
  end: [succeeded]
callback:
  trigger: {succeeded: job.done, failed: job.broken}
  view: {body: {id: $job.id, event: $event.name}}
  headers: {X-Event: $event.name}
  sign:
    when: $secret.key
    algorithm: hmac-sha256
    key: $secret.key
    message: "{$delivery.timestamp}.{$delivery.body}"
    encoding: hex
    headers: {X-Sign: "v1={$signature}"}
    toleranceSeconds: 60
  timeoutSeconds: 5
  delivered: $statusCode == 200
  retry: {afterSeconds: [1, 2]}
outputs: {files: {$each: $job.outputs, do: $output.url}}
assets:
  url: "https://files.test/{$job.id}/{$output.index}"
  lifetimeSeconds: 3600
  needsKey: true
  expired: gone
  renew: {operation: renew, url: $request.body#/url, lifetimeSeconds: 60, reply: {body: $asset.url}}
errorTransports: [body, http]
errors:
  invalid:
    - operations: [make]
      when: $violation.keyword == "enum"
      http: 422
      headers: {X-Field: $violation.field}
      message: "{$violation.field} is wrong"
      body: {error: $error.message}
      committed: unknown
      retry: later
      transport: http
  gone: [{http: 410}]
  x-evidence: {mark: guessed, source: a}
failures:
  full: {code: 5, message: "no {$job.id}", refund: full}
  half: {refund: 0.5}
  none: {}
  x-evidence: {mark: guessed, source: a}
models:
  list: {operation: models, reply: {body: {$each: $models, do: $model.id}}}
  details: {operation: model, model: $request.path.id, reply: {body: $model.schema}}
replies:
  balance: {body: $account.balance}
  x-evidence: {mark: guessed, source: a}
files:
  - operations: [upload]
    content: $request.body#/data|base64
    name: $request.body#/name
    folder: $request.body#/folder
    url: "https://files.test/{$file.path}"
    lifetimeSeconds: 60
    reply: {body: $file.url}
limits: {rate: [{operations: [make, look], count: 20, perSeconds: 10}], concurrent: {jobs: 3}}
prices: {unit: credits, usdPerUnit: 0.01, rules: [{when: $job.model == "big", amount: 2}, {amount: 1}]}
retention: {jobSeconds: 3600}
"""
WHOLE = document(JOB).data


def texts_of(place: Any) -> list[Any]:
    return [getattr(item, "text", item) for item in place]


# --- what is compiled -----------------------------------------------------------------------------------------------


def test_everything_of_a_kind_of_job_is_compiled():
    """Each part of `x-jobs` is in the data that fake and client read."""
    compiled = contract({"job": WHOLE})
    job = compiled.job_type
    assert (job.name, job.id.render({}), job.words.unknown, job.words.shown(State.RUNNING)) == (
        "job",
        "job_{hex:8}",
        "failed",
        1,
    )

    (create,) = job.creates
    assert (create.operations, create.late) == (("make",), True)
    assert create.claims == {"model", "input", "old", "n", "team"}
    assert texts_of(create.input) == ["$request.body#/input", "$request.body#/old"]
    assert texts_of((*create.model, *create.number, *create.callback_url)) == [
        "$request.body#/model",
        "$request.body#/n|default(1)",
        "$request.header.X-Callback",
    ]
    assert create.sync is not None
    assert create.sync.when is not None
    assert create.sync.max_seconds == (60,)
    assert create.reply.success is job.success is not None
    assert create.reply.http == {None: 201}

    assert job.status is not None
    assert (job.status.operation, job.status.invisible_error, job.status.invisible_seconds) == ("look", "notFound", 10)
    assert (job.status.poll, job.status.give_up_seconds) == ((Pace(30, 3), Pace(None, 10)), 900)
    assert job.cancel is not None
    assert job.cancel.states == {State.QUEUED: ()}
    assert (job.cancel.reply.http[None], job.cancel.refused.http[None], job.cancel.refund) == (200, 409, 0)
    assert job.listing is not None
    assert [one.otherwise for one in job.listing.filters] == [("waiting", 1), None]
    assert set(job.listing.reply.variants) == {None}

    assert job.events is not None
    assert (job.events.scope, texts_of(job.events.id)) == ("job", ["$request.query.id"])
    assert job.events.end == {State.SUCCEEDED}
    assert (job.events.keep_alive_seconds, job.events.keep_alive_comment) == (15, "alive")
    assert [(state, frame.event) for state, frames in job.events.frames.items() for frame in frames] == [
        (State.RUNNING, "start")
    ]

    assert job.callback is not None
    assert job.callback.trigger == {State.SUCCEEDED: "job.done", State.FAILED: "job.broken"}
    assert (job.callback.timeout_seconds, job.callback.retry_after_seconds) == (5, (1, 2))
    assert job.callback.delivered is not None
    assert job.callback.view.success is None  # the criterion is asked of replies only
    assert [name for name, _ in job.callback.headers] == ["X-Event"]
    sign = job.callback.sign
    assert sign is not None
    assert (sign.key.text, sign.encoding, sign.tolerance_seconds) == ("$secret.key", "hex", 60)

    assert job.assets is not None
    assert (job.assets.lifetime_seconds, job.assets.needs_key, job.assets.expired) == (3600, True, "gone")
    assert job.assets.renew is not None
    assert (job.assets.renew.operation, job.assets.renew.lifetime_seconds) == ("renew", 60)

    assert job.errors.transports == ("body", "http")
    assert set(job.errors.rules) == {"invalid", "gone"}
    (rule,) = job.errors.rules["invalid"]
    assert rule.operations == frozenset({"make"})
    assert (rule.http, rule.committed, rule.retry, rule.transport) == (422, "unknown", "later", "http")
    (gone,) = job.errors.rules["gone"]
    assert (gone.operations, gone.committed, gone.retry, gone.transport) == (None, "no", "never", None)

    assert {name: failure.refund for name, failure in job.failures.items()} == {"full": 1, "half": 0.5, "none": 0}
    assert job.failures["full"].message.render({"job": Job(id="j")}) == "no j"
    assert job.failures["none"] == Failure("none", None, Literal(None), 0)
    assert [(one.operation, one.model is None) for one in job.model_operations] == [("models", True), ("model", False)]
    assert set(job.replies) == {"balance"}
    (upload,) = job.uploads
    assert (texts_of(upload.content), upload.lifetime_seconds) == (["$request.body#/data|base64"], 60)
    assert (job.rates, job.concurrent_jobs) == ((Rate(frozenset({"make", "look"}), 20, 10),), 3)
    assert (job.unit, job.usd_per_unit, [price.amount for price in job.prices]) == ("credits", 0.01, [2, 1])
    assert job.prices[1].when is None
    assert job.retention == (3600, None, False)


def test_what_a_contract_does_not_say_is_the_usual():
    """The least that a contract can say leaves everything else empty or as the manual of the format says."""
    job = contract().job_type
    assert job.words.unknown == "active"
    parts = (job.success, job.status, job.cancel, job.listing, job.events, job.callback, job.outputs, job.assets)
    assert set(parts) == {None}
    assert (job.concurrent_jobs, job.usd_per_unit, job.retention) == (None, None, (None, None, False))
    assert (job.errors.transports, job.errors.rules, job.failures, job.models, job.replies) == (
        ("http",),
        {},
        {},
        {},
        {},
    )
    assert (job.model_operations, job.uploads, job.rates, job.unit, job.prices) == ((), (), (), "", ())
    (create,) = job.creates
    assert (create.model, create.input, create.number, create.callback_url, create.sync) == ((), (), (), (), None)
    assert (create.late, create.claims) == (False, frozenset())


def test_a_filter_of_events_needs_their_names():
    """Where the request may choose among events, the trigger has to name them."""
    callback = {"view": {}, "trigger": ["succeeded"], "only": "$request.body#/events"}
    with pytest.raises(ContractInvalid, match='"only" needs the names of events'):
        contract(job_of(callback=callback))
    named = contract(job_of(callback={**callback, "trigger": {"succeeded": "done"}})).job_type.callback
    assert named is not None
    assert texts_of(named.only) == ["$request.body#/events"]


def test_what_a_part_does_not_say_is_the_usual():
    """Each part has the defaults of the manual."""
    view: dict[str, Any] = {}
    job = contract(
        job_of(
            status={"operation": "look", "id": "$request.path.id", "reply": view},
            cancel={"operation": "stop", "id": "$request.path.id", "from": ["queued"], "reply": view},
            list={"operation": "all", "reply": view},
            events={"operation": "listen", "scope": "account", "frames": {}},
            callback={
                "view": view,
                "sign": {
                    "algorithm": "hmac-sha256",
                    "key": "$secret.a",
                    "message": "a",
                    "encoding": "hex",
                    "headers": {},
                },
            },
            assets={"url": "https://files.test/{$job.id}"},
            files=[{"operations": ["upload"], "url": "a", "reply": view}],
        )
    ).job_type
    assert job.status is not None
    assert (job.status.invisible_error, job.status.invisible_seconds, job.status.poll, job.status.give_up_seconds) == (
        None,
        0,
        (),
        None,
    )
    assert job.cancel is not None
    assert job.cancel.refused is job.cancel.reply
    assert job.listing is not None
    assert job.listing.filters == ()
    assert job.events is not None
    assert (job.events.id, job.events.keep_alive_seconds, job.events.keep_alive_comment) == ((), None, "")
    assert job.callback is not None
    assert job.callback.trigger == dict.fromkeys(TERMINAL)
    assert (job.callback.timeout_seconds, job.callback.delivered, job.callback.retry_after_seconds) == (15, None, ())
    assert job.callback.sign is not None
    assert (job.callback.sign.when, job.callback.sign.tolerance_seconds) == (None, 300)
    assert job.assets is not None
    assert (job.assets.lifetime_seconds, job.assets.needs_key, job.assets.expired) == (None, False, "expired")
    assert job.assets.renew is None
    (upload,) = job.uploads
    assert (upload.content, upload.name, upload.folder, upload.lifetime_seconds) == ((), (), (), None)


# --- what is wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        ("operations: [make]\n    model", "operations: [mkae]\n    model", 'no operation "mkae"; did you mean "make"?'),
        ("operation: look", "operation: lok", 'no operation "lok"; did you mean "look"?'),
        ("operation: stop", "operation: stpo", 'no operation "stpo"; did you mean "stop"?'),
        ("operation: all\n", "operation: al\n", 'no operation "al"; did you mean "all"?'),
        ("operation: listen", "operation: lisen", 'no operation "lisen"; did you mean "listen"?'),
        ("operation: renew", "operation: renwe", 'no operation "renwe"; did you mean "renew"?'),
        ("operation: models", "operation: model5", 'no operation "model5"; did you mean "model"?'),
        ("operations: [upload]", "operations: [uplaod]", 'no operation "uplaod"; did you mean "upload"?'),
        ("operations: [make, look]", "operations: [make, loko]", 'no operation "loko"; did you mean "look"?'),
        ("- operations: [make]\n      when", "- operations: [maek]\n      when", '"maek"; did you mean "make"?'),
        ("  balance: {body", "  balanec: {body", 'no operation "balanec"; did you mean "balance"?'),
        ("error: notFound", "error: notfound", 'no error "notfound"; did you mean "notFound"?'),
        ("expired: gone", "expired: gnoe", 'no error "gnoe"; did you mean "gone"?'),
        ("failed: [broken]", "faild: [broken]", 'unknown key "faild"; did you mean "failed"?'),
        (
            "from: [queued]",
            "from: [queud]",
            'an item of "from" cannot be "queud": it is no state, and no word of one; did',
        ),
        ("{running: [{event", "{runing: [{event", 'unknown key "runing"; did you mean "running"?'),
        ("trigger: {succeeded", "trigger: {suceeded", 'unknown key "suceeded"; did you mean "succeeded"?'),
        ("end: [succeeded]", "end: [succeded]", 'an item of "end" cannot be "succeded"; did you mean "succeeded"?'),
        ("model: $request.body", "model: $requst.body", 'no root "$requst"; did you mean "request"?'),
        ("claims: [$request", "claims: [$requets", 'no root "$requets"; did you mean "request"?'),
        ("state: $job.status", "state: $job.staus", '"$job" has no "staus"; did you mean "status"?'),
        ("by: $request.query.state", "by: $request.qury.state", '"$request" has no "qury"; did you mean "query"?'),
        ("is: $job.status", "is: $job.statu", '"$job" has no "statu"; did you mean "status"?'),
        ("n|default(1)", "n|defalt(1)", 'no codec "defalt"; did you mean "default"?'),
        ("$each: $jobs", "$eahc: $jobs", 'no template node "$eahc"; did you mean "$each"?'),
        ("successCriteria: $response", "successCriteria: $respnse", 'no root "$respnse"; did you mean "response"?'),
        ("wait, maxSeconds", "wait =, maxSeconds", 'cannot be read from "=" on'),
        ("key: $secret.key", "key: $secrt.key", 'no root "$secrt"; did you mean "secret"?'),
        ("{$delivery.timestamp}", "{$delivery.timstamp}", '"$delivery" has no "timstamp"; did you mean "timestamp"?'),
        ("v1={$signature}", "v1={$signatur}", 'no root "$signatur"; did you mean "signature"?'),
        ("{$violation.field} is", "{$violation.feild} is", '"$violation" has no "feild"; did you mean "field"?'),
        ('"no {$job.id}"', '"no {$job.di}"', '"$job" has no "di"; did you mean "id"?'),
        ("body: $asset.url", "body: $asset.ulr", '"$asset" has no "ulr"; did you mean "url"?'),
        ('$job.model == "big"', '$job.modl == "big"', '"$job" has no "modl"; did you mean "model"?'),
        ("refund: full", "refund: ful", '"refund" cannot be "ful"; did you mean "full"?'),
        ("scope: job", "scope: jbo", '"scope" cannot be "jbo"; did you mean "job"?'),
    ],
)
def test_a_wrong_name_is_reported_with_its_line_and_what_was_meant(right: str, wrong: str, problem: str):
    """Whatever name is wrong, operation, error, state, root, member, codec or node: it is one problem on its line."""
    assert JOB.count(right) == 1
    text = JOB.replace(right, wrong)
    changed = next(
        number for number, (old, new) in enumerate(zip(JOB.splitlines(), text.splitlines(), strict=True)) if old != new
    )
    indented = "".join(f"  {line}\n" for line in text_of(text).splitlines())
    first = len(text_of(OPENAPI).splitlines()) + 2  # the lines above: the document, `x-jobs:` and `job:`
    with pytest.raises(ContractInvalid) as caught:
        contract(f"job:\n{indented}")
    (line,) = shown(caught.value.problems)
    number, _, said = line.partition(": ")
    assert int(number) == first + changed
    assert problem in said


def test_all_problems_are_reported_at_once():
    """One wrong name does not hide another, in the OpenAPI part or in any kind of job."""
    jobs = text_of("""
        job:
          id: a
          states: {queued: [a]}
          create: [{operations: [mkae], model: $request.boy, reply: {body: {id: $job.di}}}]
          cancle: {}
          errors: {invalid: [{http: 400, when: "1 =", body: {$mach: 1}}]}
        other:
          id: a
          states: {queued: [a]}
          create: [{operations: [make], reply: {body: $job.id|isso}}]
    """)
    openapi = OPENAPI.replace("{operationId: upload}", "{operationId: upload, security: [{key: []}]}")
    assert sorted(contract_problems(jobs, openapi=openapi)) == [
        '"$job" has no "di"; did you mean "id"?',
        '"$request" has no "boy"; did you mean "body"?',
        'the condition "1 =" cannot be read from "=" on',
        'there is no codec "isso"; did you mean "iso"?',
        'there is no operation "mkae"; did you mean "make"?',
        'there is no security scheme "key"; there is none',
        'there is no template node "$mach"; did you mean "$match"?',
        'unknown key "cancle"; did you mean "cancel"?',
    ]


def test_the_last_id_is_a_pattern():
    """Places of an id come before the pattern that mints one where none of them has any, and are expressions."""
    problem = 'the last is a pattern to mint ids by, and "$request.body#/own" is none'
    assert contract_problems(job_of(id=["$request.body#/own"])) == [problem]
    assert contract_problems(job_of(id=["own", "{uuid}"])) == [
        '"own" is no expression: expected $root.name#/pointer|codec'
    ]
    assert contract(job_of(id="{uuid}")).job_type.chosen_id == ()


def test_a_document_without_jobs_is_no_contract():
    """A document that ties no operation to a job, or is not OpenAPI at all, is refused."""
    with tempfile.TemporaryDirectory() as folder:
        for text, problem in (
            (OPENAPI, 'the document lacks "x-jobs", which ties operations to jobs; an overlay.yaml may have it, too'),
            ("info: 5", '"info" must be object, not 5'),
            (f"{text_of(OPENAPI)}x-jobs: {{}}", '"x-jobs": {} has less than 1 property'),
        ):
            Path(folder, "openapi.yaml").write_text(text_of(text), encoding="utf-8")
            with pytest.raises(ContractInvalid) as caught:
                load_contract(Path(folder))
            assert problem in [found.text for found in caught.value.problems]


def test_a_contract_may_be_yaml_or_json(tmp_path: Path):
    """The document has one of three names; without any, the usual one is said to be missing."""
    with pytest.raises(ContractInvalid, match=r"openapi\.yaml:1: the file cannot be read"):
        load_contract(tmp_path)
    data = {**document(OPENAPI).data, "x-jobs": document(JOBS).data}
    (tmp_path / "openapi.json").write_text(json.dumps(data, indent="\t"), encoding="utf-8")
    assert load_contract(tmp_path).name == tmp_path.name


# --- hostile contracts ----------------------------------------------------------------------------------------------

BASE: dict[str, Any] = {
    **document(OPENAPI).data,
    "x-jobs": {"job": WHOLE},
    "components": {
        "schemas": {"Small": {"allOf": [{}], "properties": {"a": {"default": 1}}}},
        "securitySchemes": {"key": {"type": "http"}},
        "parameters": {"P": {"name": "p", "in": "query", "schema": {"type": "integer"}}},
    },
}
BASE["paths"]["/jobs"]["post"].update(
    security=[{"key": []}],
    parameters=[{"$ref": "#/components/parameters/P"}],
    responses={"200": {"description": "", "content": {"application/json": {"schema": {}}}}},
    requestBody={
        "content": {
            "application/json": {
                "schema": {"discriminator": {"propertyName": "m", "mapping": {"s": "#/components/schemas/Small"}}},
                "examples": {"a": {"value": 1}},
            }
        }
    },
)


def places(node: Any, at: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return where each part of a value stands."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [at, *(place for key, item in items for place in places(item, (*at, str(key))))]


PLACES = [place for place in places(BASE) if place]
pointers = st.sampled_from(PLACES).map(pointer_to)


@given(st.sampled_from(PLACES), json_values | pointers.map(lambda to: {"$ref": f"#{to}"}) | pointers)
def test_a_contract_with_anything_in_it_is_compiled_or_refused(place: tuple[str, ...], value: Any):
    """Whatever stands in any place of a contract, be it another of its parts, is compiled or raises ContractInvalid."""
    data = deepcopy(BASE)
    if isinstance(value, str) and value.startswith("/"):
        value = deepcopy(follow(data, value))
    parent = follow(data, pointer_to(place[:-1]))
    parent[int(place[-1]) if isinstance(parent, list) else place[-1]] = value
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "openapi.json").write_bytes(json.dumps(data).replace("\x7f", "\\u007f").encode())
        with contextlib.suppress(ContractInvalid):
            load_contract(Path(folder))


# --- the bundled contracts ------------------------------------------------------------------------------------------


def test_five_contracts_are_bundled():
    """The five providers of the project are found, or the tests below would test nothing."""
    assert len(BUNDLED) == 5


@pytest.mark.parametrize("folder", BUNDLED, ids=lambda folder: folder.name)
def test_a_bundled_contract_can_be_used(folder: Path):
    """Each bundled contract compiles, has models, and a way to make a job, to ask for it and to fail."""
    compiled = load_contract(folder)
    assert compiled.name == folder.name
    assert compiled.servers
    job = compiled.job_type
    assert job.models
    assert job.creates
    assert job.status is not None
    assert job.failures
    assert {State.SUCCEEDED, State.FAILED} <= set(job.words.by_state)
    for name, operation in compiled.operations.items():
        path = operation.route
        for parameter in path_names(path):
            path = path.replace(f"{{{parameter}}}", "x")
        routed = compiled.router.find(operation.method, path, host_of(operation.server))
        assert routed is not None
        assert routed.operation is not None
        assert routed.operation.id == name
