"""The lifecycle as a state diagram of Mermaid: wire words, the ways between states, and which of them call back."""

from __future__ import annotations

import re
from collections.abc import Iterator

from understudy.contract.model import Contract, JobType
from understudy.contract.views import Word
from understudy.lifecycle import TERMINAL, TRANSITIONS, State

# What means something to Mermaid; it is written as the number of its character.
_SIGNS = re.compile(r"[\x00-\x1f\x7f\"#;:{}<>%`\\]")


def as_mermaid(contract: Contract) -> str:
    """Return the lifecycle of each kind of job as one `stateDiagram-v2`."""
    lines = ["stateDiagram-v2"]
    for job_type in contract.job_types.values():
        lines += _diagram(job_type)
    return "\n".join([*lines, ""])


def _diagram(job_type: JobType) -> Iterator[str]:
    there = [state for state in State if job_type.words.by_state.get(state)]
    begins = next((state for state in (State.QUEUED, State.RUNNING) if state in there), None)
    kind = re.sub(r"\W", "_", job_type.name)
    yield f'  state "{_escaped(job_type.name)}" as {kind} {{'
    for state in there:
        words = " | ".join(map(_shown, job_type.words.by_state[state]))
        yield f'    state "{state.value}: {_escaped(words)}" as {kind}_{state.value}'
    made = [operation for group in job_type.creates for operation in group.operations]
    for state in there if begins is None else [begins]:
        yield _arrow("[*]", f"{kind}_{state.value}", [", ".join(made), *_callback(job_type, state)])
    for state in there:
        for following in there:
            if following in TRANSITIONS[state] and following is not state:
                asked = _ended_by(job_type, state) if following is State.CANCELLED else []
                why = [*asked, *_callback(job_type, following)]
                yield _arrow(f"{kind}_{state.value}", f"{kind}_{following.value}", why)
    for state in (state for state in there if state in TERMINAL):
        yield from _after_the_end(job_type, state, kind)
    yield "  }"


def _arrow(source: str, target: str, why: list[str]) -> str:
    label = "; ".join(why)
    return f"    {source} --> {target}" + (f" : {_escaped(label)}" if label else "")


def _callback(job_type: JobType, state: State) -> list[str]:
    callback = job_type.callback
    if callback is None or state not in callback.trigger:
        return []
    event = callback.trigger[state]
    return ["callback" if event is None else f"callback {event}"]


def _ended_by(job_type: JobType, state: State) -> list[str]:
    cancel = job_type.cancel
    return [cancel.operation] if cancel is not None and state in cancel.states else []


def _after_the_end(job_type: JobType, state: State, kind: str) -> Iterator[str]:
    """Yield what becomes of a job that has ended."""
    kept, delete, name = job_type.retention, job_type.delete, f"{kind}_{state.value}"
    if delete is not None and state in delete.states:
        yield _arrow(name, "[*]", [delete.operation])
    if kept.job_seconds is None:
        yield _arrow(name, "[*]", [])
    elif not kept.expires:
        yield _arrow(name, "[*]", [f"after {kept.job_seconds:.10g} s"])
    elif state is not State.EXPIRED:
        yield _arrow(name, f"{kind}_{State.EXPIRED.value}", [f"after {kept.job_seconds:.10g} s"])


def _shown(word: Word) -> str:
    text = str(word.word) if word.spoken else ""
    return " if ".join(filter(None, (text, word.when.text if word.when is not None else "")))


def _escaped(text: str) -> str:
    return _SIGNS.sub(lambda match: f"#{ord(match[0])};", text)
