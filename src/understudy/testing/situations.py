"""What a client can be put into, by what the contract says: each is one thing that goes wrong, or none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from understudy.contract.catalogue import ErrorRule
from understudy.contract.model import Contract
from understudy.lifecycle import State, Step
from understudy.testing.run import Situation

USUAL = Situation("all goes as usual")

#: A job that takes longer than most.
SLOW = Situation(
    "the job waits for forty seconds and runs for two minutes",
    job={"timeline": (Step(State.QUEUED, seconds=40), Step(State.RUNNING, seconds=120), Step(State.SUCCEEDED))},
)

# Errors whose fault is the request's: the same request has the same end.
_REFUSALS = ("unauthorized", "credits", "unknownModel", "invalid")

# How an answer is lost after the job was made, or may have been.
_LOST: tuple[tuple[str, dict[str, Any]], ...] = (
    ("the connection is reset", {"fault": "answer-lost"}),
    ("a gateway answers 502 in its place", {"fault": "html-error-page", "status": 502, "committed": True}),
    ("a gateway answers 524 in its place", {"fault": "html-error-page", "status": 524, "committed": True}),
    ("half of it is missing", {"fault": "body-truncated"}),
    ("it is no JSON", {"fault": "malformed-json"}),
    ("it is empty", {"fault": "empty-body"}),
)

# How a poll goes wrong, once.
_BAD: tuple[tuple[str, dict[str, Any]], ...] = (
    ("the connection is reset", {"fault": "reset-before-commit"}),
    ("a gateway answers 502 in its place", {"fault": "html-error-page", "status": 502}),
    ("half of the answer is missing", {"fault": "body-truncated"}),
    ("the answer is no JSON", {"fault": "malformed-json"}),
    ("the answer is a server error", {"fault": "error", "error": "serverError"}),
    ("the answer is that there were too many", {"fault": "error", "error": "rateLimited", "retry_after_seconds": 7}),
)


def plain(contract: Contract) -> Iterator[Situation]:
    """Return those in which nothing goes wrong."""
    yield USUAL
    yield Situation("the job is done at once", job={"timeline": (Step(State.SUCCEEDED),)})
    yield SLOW


def slow(contract: Contract) -> Iterator[Situation]:
    """Return one in which polls matter."""
    yield SLOW


def errors_in_the_body(contract: Contract) -> Iterator[Situation]:
    """Return each named error of a create, under HTTP 200, at those who send them so."""
    may_be = "body" in contract.job_type.errors.transports
    for name, rule in _errors_of_creates(contract):
        in_body = rule.transport == "body" or (may_be and rule.transport is None)
        if in_body and rule.committed != "yes":
            yield _refused(name, f'the create is answered HTTP 200, with the error "{name}" in the body', "body")


def failures(contract: Contract) -> Iterator[Situation]:
    """Return each way in which a job ends without a result."""
    for name in contract.job_type.failures:
        yield Situation(f'the job fails: "{name}"', job={"failure": name})
    for state in (State.CANCELLED, State.EXPIRED):
        if state in contract.job_type.words.by_state:
            steps = Step(State.RUNNING, seconds=5), Step(state)
            yield Situation(f"the job runs, and then is {state}", job={"timeline": steps})


def refusals(contract: Contract) -> Iterator[Situation]:
    """Return the errors of a create that come again when it is repeated."""
    known = dict(_errors_of_creates(contract))
    for name in _REFUSALS:
        for transport in contract.job_type.errors.transports if name in known else ():
            how = "HTTP 200" if transport == "body" else f"HTTP {known[name].http}"
            yield _refused(name, f'the create is refused: "{name}", {how}', transport)


def lost_answers(contract: Contract) -> Iterator[Situation]:
    """Return the ways in which nobody can tell whether a create has made a job."""
    for text, fault in _LOST:
        yield Situation(f"the create makes a job, and its answer is lost: {text}", ({**fault, "on": "create"},))
    for name, rule in _errors_of_creates(contract):
        if rule.committed != "no" and rule.retry == "never" and name not in _REFUSALS:
            yield _refused(
                name, f'the create is answered with the error "{name}", which leaves open whether it made a job'
            )


def bad_polls(contract: Contract) -> Iterator[Situation]:
    """Return the ways in which a poll goes wrong once, and the next is well."""
    for text, fault in _BAD:
        for nth, which in ((1, "first"), (2, "second")):
            if fault["fault"] != "error" or fault["error"] in contract.job_type.errors.rules:
                yield Situation(f"the {which} poll goes wrong: {text}", ({**fault, "on": "status", "nth": nth},))
    status = contract.job_type.status
    if status is not None and status.invisible_error is not None:
        text = f'for three seconds the job cannot be read: "{status.invisible_error}"'
        yield Situation(text, job={"visible_after_seconds": 3.0})


def nonsense(contract: Contract) -> Iterator[Situation]:
    """Return what no document has, for good."""
    for on, what in (("create", "the create"), ("status", "every poll")):
        always = {"on": on, "times": None}
        yield Situation(f"{what} is answered by an HTML page", ({"fault": "html-error-page", "status": 502, **always},))
        yield Situation(f"{what} is answered by broken JSON", ({"fault": "malformed-json", **always},))
        yield Situation(f"{what} is answered by nothing", ({"fault": "empty-body", **always},))
    for_good = {"fault": "unknown-state", "seconds": 30 * 86400.0}
    yield Situation("the job has a state that nobody has heard of, for good", (for_good,))
    yield Situation("the job ends under a state that nobody has heard of", ({"fault": "undocumented-ending"},))


def new_members(contract: Contract) -> Iterator[Situation]:
    """Return answers with members that no document has."""
    every = ({"fault": "unknown-fields", "on": "create"}, {"fault": "unknown-fields", "on": "status", "times": None})
    yield Situation("each answer has a member that nobody has heard of", every)


def stuck(contract: Contract) -> Iterator[Situation]:
    """Return jobs that never end."""
    yield Situation("the job waits for ever", job={"state": State.QUEUED})
    yield Situation("the job runs for ever", job={"state": State.RUNNING})


def rate_limits(contract: Contract) -> Iterator[Situation]:
    """Return 429s, with and without a time to wait."""
    if "rateLimited" not in contract.job_type.errors.rules:
        return
    for on, what in (("create", "the create"), ("status", "the first poll")):
        limit = {"fault": "error", "error": "rateLimited", "on": on}
        yield Situation(f"{what} is answered that there were too many: Retry-After: 20", ({**limit, **_in(20)},))
        dated = {**limit, **_in(20), "retry_after_date": True}
        yield Situation(f"{what} is answered that there were too many: Retry-After is a date", (dated,))
        yield Situation(f"{what} is answered that there were too many, without Retry-After", (limit,))


def short_links(contract: Contract) -> Iterator[Situation]:
    """Return results that can be fetched for five minutes."""
    if contract.job_type.assets is not None:
        yield Situation(
            f"the links to the result are good for {LINK_SECONDS:g} seconds",
            ({"fault": "link-expires", "seconds": LINK_SECONDS},),
        )


#: How long the links of `short_links` are good.
LINK_SECONDS = 300.0


def careless_moments(contract: Contract) -> Iterator[Situation]:
    """Return situations in which a key is easily let out."""
    yield USUAL
    yield from refusals(contract)
    yield from list(lost_answers(contract))[:2]
    yield from list(failures(contract))[:1]
    yield from stuck(contract)


def forged_callbacks(contract: Contract) -> Iterator[Situation]:
    """Return callbacks that the provider did not send, or not now."""
    for name, text in (
        ("callback-wrong-signature", "the first callback has a wrong signature"),
        ("callback-stale", "the first callback is an old one, recorded and sent again"),
    ):
        yield Situation(text, ({"fault": name, "on": "callback"},))


def odd_callbacks(contract: Contract) -> Iterator[Situation]:
    """Return true callbacks that come as they should not."""
    for name, text in (
        ("callback-twice", "the callback comes twice"),
        ("callback-late", "the callback comes two minutes late"),
        ("callback-before-answer", "the callback comes before the answer to the create"),
        ("callback-lost", "the callback never comes"),
    ):
        yield Situation(text, ({"fault": name},))


def all_of_it(contract: Contract) -> Iterator[Situation]:
    """Return everything that can tempt a client to make a second job."""
    for some in (plain, lost_answers, bad_polls, failures, nonsense, stuck, rate_limits, refusals):
        yield from some(contract)


def _errors_of_creates(contract: Contract) -> Iterator[tuple[str, ErrorRule]]:
    """Return the named errors that a create can answer, each with the rule that counts."""
    creates = {name for create in contract.job_type.creates for name in create.operations}
    for name, rules in contract.job_type.errors.rules.items():
        fitting = [rule for rule in rules if rule.operations is None or rule.operations & creates]
        if fitting and name not in _NEVER_OF_CREATES:
            yield name, fitting[0]


# Errors of a path or a file, which no create meets.
_NEVER_OF_CREATES = frozenset({"unknownPath", "methodNotAllowed", "expired", "notFound"})


def _refused(name: str, text: str, transport: Any = None) -> Situation:
    return Situation(text, ({"fault": "error", "error": name, "on": "create", "times": None},), transport=transport)


def _in(seconds: float) -> dict[str, Any]:
    return {"retry_after_seconds": seconds}
