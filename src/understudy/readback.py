"""What comes back of a job when a client reads a view of it backwards, and what it takes for it instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from understudy.contract.codecs import dump_json
from understudy.contract.templates import Template
from understudy.contract.views import Read, Words, facts_of, prefixes
from understudy.lifecycle import Job, JobError


def lacking(read: Read, outputs: Template | None, job: Job) -> set[str]:
    """Return what of a job a client cannot get from a view, as `check` calls it.

    Args:
        read: The view, read backwards.
        outputs: The contract's template of a result.
        job: The job that was shown.
    """
    facts = facts_of(read.reading, outputs, prefixes(read.reading)[0])
    comes_back = {
        "id": facts.get("id") == job.id,
        "state": read.state is job.state,
        "result": _same_result(facts, job),
        "id of the result": facts.get("result_id") == job.result_id,
        "error message": job.error is None or facts.get("error", JobError()).message == job.error.message,
    }
    return {what for what, same in comes_back.items() if not same}


def _same_result(facts: Mapping[str, Any], job: Job) -> bool:
    if job.result is None or facts.get("result") == job.result:
        return True
    found, made = facts.get("outputs", ()), job.outputs
    return len(found) == len(made) and all(
        output.url == other.url or output.content == other.content for output, other in zip(found, made, strict=True)
    )


def mistaken(read: Read, words: Words) -> str:
    """Return what a client takes the state of a job for, where that is wrong, and why."""
    told = read.reading.get(("job", "status"))
    word = "no word" if told is None else f"the word {dump_json(told)}"
    if read.state is not None:
        return f"it reads {read.state}, the first state that fits {word} and what stands beside it"
    if told is None or words.state_named(told) is not None:
        return f'it reads {word}, and no "when" that goes with it holds'
    return f"it reads {word}, which no state has"
