"""Tests of the errors: whose fault they say it is, and what they tell."""

from __future__ import annotations

import difflib
import inspect

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from understudy import errors
from understudy.errors import (
    ClientError,
    ContractInvalid,
    JobFailed,
    OutcomeUnknown,
    Problem,
    ProviderError,
    Refused,
    WaitTimeout,
    nearest,
    suggestion,
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
        assert max(likeness.values(), default=0) < 0.5
    else:
        assert likeness[found] == max(likeness.values()) >= 0.5


def test_a_suggestion_is_the_nearest_name_or_all():
    """What is like a valid name is taken for it; else all there is is listed, in alphabetical order."""
    assert suggestion("statsu", ["status", "state"]) == 'did you mean "status"?'
    assert suggestion("codes", ["nodes", "code"]) == 'did you mean "code"?'  # a slip before a likeness
    assert suggestion("zzz", ["b", "a"]) == "there is: a, b"
    assert suggestion("zzz", []) == "there is none"


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
        "  No job was made and nothing was charged."
    )
    assert (error.what, error.operation, error.name, error.status_code) == (
        "the create was refused",
        "createJob",
        "credits",
        402,
    )
    assert (error.provider_message, error.job, error.retry_after_seconds) == ("no money", job, 5)


def test_a_client_error_leaves_out_what_is_not_known():
    """Without a place, an answer or a remedy there is no line for them."""
    assert str(ProviderError("it failed")) == "it failed"
    assert str(JobFailed("it failed", job=Job(id="j"))) == "it failed\n  job j is queued (None)"
    assert str(ProviderError("it failed", status_code=500)) == "it failed\n  got: HTTP 500"


@pytest.mark.parametrize("kind", [Refused, OutcomeUnknown, WaitTimeout])
def test_an_error_that_leaves_a_choice_says_what_to_do(kind: type[ClientError]):
    """Where a client can do something about it, the last line says what."""
    assert str(kind("x")).splitlines()[-1].strip() == kind.remedy != ""
