"""Tests of how a named error becomes a reply; `test_provider.py` provokes each of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.small import small
from understudy.contract.build import load_contract
from understudy.contract.validation import Violation
from understudy.lifecycle import Job
from understudy.refusals import refusal
from understudy.wire import Answered

WRONG = Violation("body", "prompt", "/prompt", "maxLength", 3, "abcd", "at most 3 characters are allowed")
BODY = {"name": "$error.name", "path": "$url", "field": "$violation.field", "job": "$job.id"}
RULES = {
    "invalid": [{"http": 422, "headers": {"X-Kind": "$error.name"}, "body": BODY}],
    "serverError": [{"http": 503, "when": "$now == 0"}],
}


def test_a_refusal_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """A rule that asks for what there is not is answered for by the stand-in itself, with the name of the rule."""
    rules = {"odd": [{"http": 400, "body": {"of": '$url|after("/jobs")|seconds'}}]}
    job_type = load_contract(small(tmp_path, errors=rules) / "contracts/small").job_type
    reply = refusal(Answered("odd"), "createJob", job_type, {"url": "/jobs"}, "http")
    assert (reply.status, reply.operation, reply.error) == (500, "createJob", "odd")
    assert "x-jobs.job.errors.odd asks for what cannot be made: a number is expected" in reply.body.decode()


@pytest.mark.parametrize("job", [None, Job(id="j")], ids=["no job", "job"])
@pytest.mark.parametrize(("name", "status"), [("invalid", 422), ("tooLarge", 413), ("odd", 500)])
def test_a_refusal_says_all_that_is_known(tmp_path: Path, name: str, status: int, job: Job | None) -> None:
    """With a rule or without, it has the headers of who answers, the violation, and what the journal notes."""
    rules = RULES if name == "invalid" else {"serverError": RULES["serverError"]}
    job_type = load_contract(small(tmp_path, errors=rules) / "contracts/small").job_type
    scope: dict[str, Any] = {"url": "/jobs", "now": 1, **({"job": job} if job else {})}
    answered = Answered(name, [("retry-after", "7")], violation=WRONG)
    reply = refusal(answered, "createJob", job_type, scope, "http")
    assert (reply.status, reply.operation, reply.error) == (status, "createJob", name)
    assert reply.jobs == (("j",) if job else ())
    assert reply.headers[-1] == ("retry-after", "7")
    body = json.loads(reply.body)
    if name == "invalid":
        assert ("X-Kind", "invalid") in reply.headers
        assert body == {"name": "invalid", "path": "/jobs", "field": "prompt", "job": "j" if job else None}
    else:
        assert ("content-type", "application/problem+json") in reply.headers
        assert body["title"] == name
        assert body["detail"].startswith("at most 3 characters are allowed. The contract has no rule for the error")
