"""Tests of the errors: whose fault they say it is, and what they tell."""

from __future__ import annotations

import difflib
import errno
import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from understudy import errors
from understudy.contract.catalogue import ENGINE_ERRORS
from understudy.errors import (
    ClientError,
    ContractInvalid,
    JobEnded,
    JobFailed,
    Problem,
    ProviderError,
    Refused,
    UsageError,
    nearest,
    suggestion,
    writing,
)
from understudy.lifecycle import Job, State

words = st.text("abcd", min_size=1, max_size=8)


def test_the_tree_of_errors_is_the_tree_of_classes():
    """The tree that opens the module names every class, indented below the class that it is derived from."""
    drawn: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        name = line.lstrip(" │├└─").split(" ")[0]
        if name[:1].isupper() and hasattr(errors, name):
            drawn.append(((len(line) - len(line.lstrip(" │├└─"))) // 4, name))
    kinds = {
        name: kind
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, BaseException) and kind.__module__ == errors.__name__
    }
    assert {name for _, name in drawn} == set(kinds)
    above: dict[int, str] = {}
    for depth, name in drawn:
        above[depth] = name
        if depth:
            assert kinds[name].__bases__ == (kinds[above[depth - 1]],)
    assert not issubclass(errors.ClockExhausted, Exception)  # a loop with `except Exception` ends, too


def slips(word: str) -> set[str]:
    """Return all that a slip of the finger makes of a word: a letter too few or too many, or two swapped."""
    cuts = [(word[:at], word[at:]) for at in range(len(word) + 1)]
    return (
        {head + tail[1:] for head, tail in cuts if tail}
        | {head + letter + tail for head, tail in cuts for letter in "abcd"}
        | {head + tail[1] + tail[0] + tail[2:] for head, tail in cuts if len(tail) > 1}
    ) - {word}


@given(st.sets(words, min_size=1), st.data())
def test_a_slip_of_the_finger_is_mended(valid: set[str], data: st.DataObject):
    """What one slip makes of a valid name leads to a valid name that is one slip away."""
    meant = data.draw(st.sampled_from(sorted(valid)))
    written = data.draw(st.sampled_from(sorted(slips(meant))))
    assume(written not in valid)
    found = nearest(written, valid)
    assert found in valid & slips(written)


@given(words, st.sets(words))
def test_the_nearest_name_is_the_most_alike(name: str, valid: set[str]):
    """Where no finger slipped, the name that is most alike is the nearest, and none where hardly anything is."""
    assume(not valid & ({name} | slips(name)))
    likeness = {option: difflib.SequenceMatcher(None, option, name).ratio() for option in valid}
    found = nearest(name, valid)
    if found is None:
        assert max(likeness.values(), default=0) < 0.6
    else:
        assert likeness[found] == max(likeness.values()) >= 0.6


def test_a_suggestion_is_the_nearest_name_or_all():
    """What is like a valid name is taken for it; else all there is is listed, in alphabetical order."""
    assert suggestion("statsu", ["status", "state"]) == 'did you mean "status"?'
    assert suggestion("codes", ["nodes", "code"]) == 'did you mean "code"?'  # a slip before a likeness
    assert suggestion("zzz", ["b", "a"]) == "there is: a, b"
    for word, other in (("nope", "oxen"), ("afile", "kie"), ("createJob", "readSticker")):  # half of it is not near
        assert suggestion(word, [other]) == f"there is: {other}"
    assert suggestion("zzz", []) == "there is none"


@pytest.mark.parametrize("named", [True, False])
def test_what_cannot_be_written_is_named_with_the_option(named: bool, tmp_path: Path):
    """The file is named, or where the system names none what was asked for, with why and by which option."""
    place = tmp_path / "out"
    full = OSError(errno.ENOSPC, "No space left on device", *([f"{place}/file"] if named else []))
    with pytest.raises(UsageError) as caught, writing(place, "--out"):
        raise full
    where = place / "file" if named else place
    assert str(caught.value) == f"{where} cannot be written: No space left on device; choose another --out"


@given(st.lists(st.builds(Problem, words, st.integers(1, 99), words)))
def test_a_contract_error_carries_every_problem_once(problems: list[Problem]):
    """Problems are in the order of files and lines, each once, and the text has a line for each."""
    error = ContractInvalid(problems)
    assert error.problems == tuple(sorted(set(problems)))
    assert str(error) == "\n".join(f"{p.file}:{p.line}: {p.text}" for p in error.problems)


def test_a_client_error_tells_what_where_got_and_remedy():
    """The text has a line each for what happened, where, what came and what to do."""
    job = Job(id="j", state=State.RUNNING, status="going")
    error = Refused(
        "the create was refused",
        operation="createJob",
        name="credits",
        status_code=402,
        provider_message="no money",
        job=job,
        retry_after_seconds=5,
    )
    assert str(error) == (
        "the create was refused\n"
        "  in createJob, job j is running ('going')\n"
        '  got: HTTP 402 · credits · "no money"\n'
        "  The fault is yours. Top up the account. No job was made and nothing was charged."
    )
    assert (error.what, error.operation, error.name, error.status_code) == (
        "the create was refused",
        "createJob",
        "credits",
        402,
    )
    assert (error.provider_message, error.job, error.retry_after_seconds) == ("no money", job, 5)


def test_a_client_error_leaves_out_what_is_not_known():
    """Without a place or an answer there is no line for them."""
    blame = "The fault is yours or the provider's. The job has ended."
    assert str(JobEnded("it ended")) == f"it ended\n  {blame}"
    assert str(JobEnded("it ended", job=Job(id="j"))) == f"it ended\n  job j is queued\n  {blame}"
    assert str(JobEnded("it ended", status_code=500)) == f"it ended\n  got: HTTP 500\n  {blame}"


@pytest.mark.parametrize(
    ("cost", "spent", "text"),
    [(18, None, ", cost: 18 credits\n"), (18, 0, ", cost: 0 credits\n"), (None, None, " queued\n")],
)
def test_a_client_error_says_what_the_job_cost(cost: float | None, spent: float | None, text: str):
    """What was charged, less what came back, stands beside the job where it is known."""
    job = Job(id="j", cost=cost, spent=spent)
    assert text in str(JobFailed("it failed", job=job, unit="credits"))


KINDS = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, ClientError)]
anything = st.none() | st.text()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not ClientError])
@given(
    name=anything | st.sampled_from(sorted(ENGINE_ERRORS)),
    status=st.none() | st.integers(100, 599),
    message=anything,
    seconds=st.none() | st.floats(0),
    job=st.none() | st.builds(Job, id=st.text(), spent=st.none() | st.floats(0, 1e6), status=anything),
)
def test_every_client_error_says_whose_fault_it_is(
    kind: type[ClientError], name: Any, status: Any, message: Any, seconds: Any, job: Any
):
    """Whatever is known, an error says in at most four lines whose fault it is, and whether a job may exist."""
    more = {"status_code": status, "provider_message": message, "retry_after_seconds": seconds, "job": job}
    error = kind("it happened", operation="do", name=name, unit="credits", **more)
    lines = str(error).split("\n")
    assert len(lines) <= 4
    assert lines[-1].startswith(f"  The fault is {error.fault}. ")
    assert re.search("yours|the provider's|the network's", error.fault)
    assert lines[-1].endswith(kind.remedy)
    assert "job" in kind.remedy.lower()


@pytest.mark.parametrize("kind", [Refused, ProviderError])
@pytest.mark.parametrize(
    ("known", "fault", "remedy"),
    [
        ({"name": "credits", "status_code": 200}, "yours", "Top up the account."),
        ({"name": "unauthorized"}, "yours", "Check the key."),
        ({"name": "rateLimited", "status_code": 429}, "yours", "Wait a while."),
        ({"name": "rateLimited", "retry_after_seconds": 20}, "yours", "Wait 20 seconds."),
        ({"name": "invalid"}, "yours", "Mend the request."),
        ({"name": "unknownModel"}, "yours", "Mend the request."),
        ({"name": "serverError", "status_code": 200}, "the provider's", "Ask again later, or ask its support."),
        ({"status_code": 402}, "yours", "Top up the account."),
        ({"status_code": 409}, "yours", "Look how things are now: they do not allow it."),
        ({"status_code": 503}, "the provider's", "Ask again later, or ask its support."),
        ({"name": "keyLimit", "status_code": 200, "meant_status": 433}, "yours", "Mend the request."),
        ({}, "the network's, between you and the provider", "See that it can be reached."),
    ],
)
def test_the_named_error_says_what_to_do(kind: type[ClientError], known: Any, fault: str, remedy: str):
    """By its name, else by its status, else by there being none, an error says whose it is and what they can do."""
    error = kind("it happened", **known)
    assert (error.fault, error.remedy) == (fault, f"{remedy} {kind.remedy}")


def test_there_is_advice_for_every_error_of_the_engine():
    """Each named error that the engine can answer has a row in the table."""
    assert set(errors._ADVICE) == set(ENGINE_ERRORS)
