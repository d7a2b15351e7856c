"""Every create that a contract admits is accepted, and every one that it does not admit by one thing is refused."""

from __future__ import annotations

import functools
import json
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from understudy.contract.creates import Create
from understudy.contract.model import Contract
from understudy.fake import API_KEY, Fake
from understudy.folders import find_provider
from understudy.library import load_provider
from understudy.lifecycle import State
from understudy.reach import host_of
from understudy.strategies.schemas import Schemas, Spoiled
from understudy.wire import Reply, Request, Wait

CONTRACTS: dict[str, Contract] = {
    name: load_provider(find_provider(name))[0] for name in ("fal", "kie", "oxen", "shortapi")
}


def models_of(contract: Contract, group: Create) -> list[str]:
    """Return the models whose bodies a create takes: the one that it is for, or all that the body can name."""
    place = next(iter(group.model))
    if isinstance(place, str):
        return [place]
    return [*contract.job_type.models] if place.path == ("body",) else []  # a path names what nobody has described


CASES = [
    pytest.param(name, operation, model, id=f"{operation}-{model}")
    for name, contract in CONTRACTS.items()
    for group in contract.job_type.creates
    for operation in group.operations
    for model in models_of(contract, group)
]

# There are many models, so each gets a share of the examples.
share = settings(max_examples=max(settings.default.max_examples // 5, 5))  # type: ignore[union-attr]


@functools.cache
def schema_of(name: str, model: str) -> tuple[Any, st.SearchStrategy[Any], Spoiled]:
    """Return a validator of our own for the body of a model, what it admits, and what it does not by one thing."""
    document, schema = CONTRACTS[name].document.data, CONTRACTS[name].job_type.models[model].schema
    whole = {**schema, "components": document["components"]}
    validator = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
    return validator, Schemas(document).admitted(schema), Schemas(document).spoiled(schema)


def asked(fake: Fake, operation: str, body: Any) -> Reply:
    """Make a create with money enough, and wait for the reply."""
    where = fake.contract.operations[operation]
    headers = [(name.lower(), value) for name, value in fake.key_headers(API_KEY).items()]
    headers.append(("content-type", "application/json"))
    outcome = fake.handle(
        Request(where.method, where.route, "", headers, json.dumps(body).encode(), host=host_of(where.server))
    )
    while isinstance(outcome, Wait):
        fake.clock.advance(outcome.until - fake.clock.now())
        outcome = outcome.resume()
    assert isinstance(outcome, Reply)
    assert dict(outcome.headers)["content-type"] == "application/json"
    json.loads(outcome.body)
    return outcome


@pytest.mark.parametrize(("name", "operation", "model"), CASES)
@given(data=st.data())
@share
def test_what_the_schema_admits_is_accepted(name: str, operation: str, model: str, data: st.DataObject) -> None:
    """A request that the schema of its model admits makes its jobs, which have its input and succeed."""
    validator, admitted, _ = schema_of(name, model)
    body = data.draw(admitted, label="body")
    assert validator.is_valid(body)
    fake = Fake(name, balance=1e9)
    reply = asked(fake, operation, body)
    assert (reply.error, reply.jobs) == (None, tuple(fake.jobs))
    assert len(fake.jobs) >= 1
    fake.clock.advance(1000)
    for job in fake.jobs.values():
        assert (job.state, job.model, job.request) == (State.SUCCEEDED, model, body)


@pytest.mark.parametrize(("name", "operation", "model"), CASES)
@given(data=st.data())
@share
def test_what_it_does_not_admit_is_refused(name: str, operation: str, model: str, data: st.DataObject) -> None:
    """A request with one thing wrong is refused in the provider's own words, or makes a job that fails for it."""
    validator, _, spoiled = schema_of(name, model)
    job_type = CONTRACTS[name].job_type
    group = next(group for group in job_type.creates if operation in group.operations)
    pointer, body = data.draw(spoiled, label="pointer and body")
    assume(not validator.is_valid(body))
    fake = Fake(name, balance=1e9)
    reply = asked(fake, operation, body)
    if group.late and pointer and pointer[0] not in group.claims:
        assert (reply.error, reply.jobs) == (None, tuple(fake.jobs))
        fake.clock.advance(1000)
        assert {(job.state, job.error and job.error.name) for job in fake.jobs.values()} == {(State.FAILED, "invalid")}
        assert fake.ledger.spent == 0
    else:
        assert reply.error in ("invalid", "unknownModel")
        assert (fake.jobs, fake.ledger.charged) == ({}, 0)
