"""What a fake renders of a job, a client reads back: for every bundled provider, view and state."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.contract.build import load_contract
from understudy.contract.codecs import dump_json, parse_json
from understudy.contract.conditions import same
from understudy.contract.expressions import camel, parse_expression
from understudy.contract.model import Contract, JobType
from understudy.contract.reading import Reading, check_types
from understudy.contract.templates import Each, Object, Template, leaves
from understudy.contract.views import View, facts_of, prefixes
from understudy.lifecycle import ACTIVE, TERMINAL, Job, JobError, Json, Output, State

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "golden" / "fields.txt"

# To write the golden file anew: UNDERSTUDY_REFRESH=1 make cov
REFRESH = os.environ.get("UNDERSTUDY_REFRESH") == "1"


@dataclass(frozen=True)
class Shape:
    """One shape of a job on the wire: a view, or the data of an event."""

    provider: str
    job_type: JobType
    name: str
    how: View | Template
    states: tuple[State, ...]

    def template(self, state: State) -> Template:
        """Return what is shown in a state where no condition says otherwise."""
        return self.how.variants[self.variant(state)][-1][1] if isinstance(self.how, View) else self.how

    def variant(self, state: State) -> State | None:
        """Return the state by which a view differs, None for a view of no job in particular."""
        return state if not isinstance(self.how, View) or state in self.how.variants else None

    def fields(self, state: State) -> frozenset[str]:
        """Return what a client can read back in a state."""
        if isinstance(self.how, View):
            return self.how.fields(self.variant(state))
        return frozenset(".".join(map(str, leaf.path)) for leaf in leaves(self.how))

    def several(self, state: State) -> bool:
        """Whether it shows a list of jobs."""
        return _repeats(self.template(state))


def _repeats(template: Template) -> bool:
    if isinstance(template, Object):
        return any(_repeats(inner) for _, inner in template.members)
    return isinstance(template, Each) and template.source.path == ("jobs",)


def shapes_of(contract: Contract) -> Iterator[Shape]:
    """Yield every shape of a job that a contract has, with the states that it can show."""
    for job in contract.job_types.values():
        spoken = set(job.words.by_state)
        found: list[tuple[str, View | Template, set[State]]] = []
        for create in job.creates:
            states = set(create.reply.words.by_state) if create.sync else {State.QUEUED}
            found.append((f"create {' '.join(create.operations)}", create.reply, states))
        if job.status:
            found.append(("status", job.status.reply, spoken))
        if job.cancel:
            found.append(("cancel", job.cancel.reply, {State.CANCELLED}))
            found.append(("cancel refused", job.cancel.refused, spoken & TERMINAL))
        if job.listing:
            found.append(("list", job.listing.reply, spoken))
        if job.callback:
            found.append(("callback", job.callback.view, set(job.callback.trigger)))
        if job.events:
            for state, frames in job.events.frames.items():
                found.extend(
                    (f"event {frame.event or 'message'}", frame.each or frame.data, {state}) for frame in frames
                )
        for name, how, states in found:
            yield Shape(contract.name, job, name, how, tuple(state for state in State if state in states))


SHAPES = [
    shape for path in sorted(ROOT.glob("contracts/*/openapi.yaml")) for shape in shapes_of(load_contract(path.parent))
]
SHOWN = [(shape, state) for shape in SHAPES for state in shape.states]
LABELS = [f"{shape.provider} {shape.job_type.name} {shape.name} {state}" for shape, state in SHOWN]


def test_what_each_view_carries_is_known():
    """The fields that a client can read back from each view in each state are those of the golden file."""
    lines = [
        f"{label}: {' '.join(sorted(shape.fields(state)))}\n"
        for label, (shape, state) in zip(LABELS, SHOWN, strict=True)
    ]
    if REFRESH:
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text("".join(lines), encoding="utf-8")
    assert GOLDEN.read_text(encoding="utf-8") == "".join(lines)


def test_every_kind_of_view_is_among_them():
    """The bundled contracts have a view of every kind, several jobs in one among them, or little would be tested."""
    kinds = {shape.name.partition(" ")[0] for shape in SHAPES}
    assert kinds == {"create", "status", "cancel", "list", "callback", "event"}
    assert sum(shape.several(state) for shape, state in SHOWN) > 1
    assert any("output.content" in shape.fields(state) for shape, state in SHOWN)


# --- jobs -----------------------------------------------------------------------------------------------------------

prompts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
names = prompts.filter(bool)
moments = st.integers(1, 2**33)
amounts = st.integers(0, 10_000).map(lambda hundredths: hundredths / 100)
inputs = st.fixed_dictionaries(
    {"prompt": prompts},
    optional={
        "response_format": st.sampled_from(["url", "b64_json"]),
        "x_seed": st.integers(),
        "x_flag": st.booleans() | st.none(),
        "x_list": st.lists(prompts, max_size=2),
    },
)


#: What jobs are made of, whatever their state: as the engine has it, times in whole seconds and links not empty.
materials = st.fixed_dictionaries(
    {
        "id": names,
        "model": prompts,
        "input": inputs,
        "files": st.lists(st.tuples(names, st.binary(max_size=9)), min_size=1, max_size=3),
        "error": st.builds(JobError, code=names | st.integers(), message=names),
        "progress": st.none() | st.integers(0, 100).map(lambda percent: percent / 100),
        "cost": amounts,
        "spent": amounts,
        "refunded": st.booleans(),
        "times": st.lists(moments, min_size=4, max_size=4).map(sorted),
        "callback_url": st.none() | names,
        "word": st.integers(0, 3),
    }
)


def job_of(material: dict[str, Any], job_type: JobType, state: State) -> Job:
    """Return the job of some material in a state."""
    ended, done = state in TERMINAL, state is State.SUCCEEDED
    words = job_type.words.by_state.get(state, ())
    created, started, last, updated = material["times"]
    outputs = tuple(Output(url=url, content=data, index=index) for index, (url, data) in enumerate(material["files"]))
    job = Job(
        **{key: material[key] for key in ("id", "model", "input", "progress", "cost", "spent", "refunded")},
        state=state,
        status=words[material["word"] % len(words)].word if words else None,
        outputs=outputs if done else (),
        error=material["error"] if state is State.FAILED else None,
        created_at=created,
        started_at=None if state is State.QUEUED else started,
        updated_at=updated,
        ended_at=last if ended else None,
        duration_seconds=last - created if ended else None,
        callback_url=material["callback_url"],
    )
    if done and job_type.outputs is not None:
        job.result = job_type.outputs.render({"job": job})
    return job


def over_the_wire(shape: Shape, state: State, shown: list[Job]) -> tuple[State | None, Reading, dict[str, Any]]:
    """Render jobs and read what arrives, as a client that knows what it asked for."""
    asked = {"body": shown[0].input}
    scope: dict[str, Any] = {"job": shown[0], "jobs": shown, "request": asked}
    if not isinstance(shape.how, View):
        reading: Reading = {}
        shape.how.read(parse_json(dump_json(shape.how.render(scope))), reading, ())
        check_types(reading)
        return None, reading, {}
    rendered = shape.how.render(scope, shape.variant(state))
    body = parse_json(dump_json(rendered.body))
    headers = {name.lower(): value for name, value in rendered.headers}
    answer = {"body": body, "header": headers}
    known = {"statusCode": rendered.status, "response": answer, "request": asked, "job": {"input": shown[0].input}}
    found = shape.how.read(body, known)
    return found.state, found.reading, known


def told_of(job: Job, fields: frozenset[str]) -> dict[str, Json]:
    """Return the values that a job has for fields, files apart."""
    values = {
        name: parse_expression(f"${name}").value({"job": job})
        for name in fields
        if name.startswith("job.") and not name.startswith("job.outputs")
    }
    return {name: value for name, value in values.items() if value is not None}


@given(st.lists(materials, min_size=1, max_size=3))
def test_what_is_rendered_is_read_back(several: list[dict[str, Any]]):
    """A client reads id, state, model, input, result, error, cost and times of a job, wherever its view has them."""
    for label, (shape, state) in zip(LABELS, SHOWN, strict=True):
        count = len(several) if shape.several(state) else 1
        shown = [job_of(material, shape.job_type, state) for material in several[:count]]
        own = shape.how.words.shown(state) if isinstance(shape.how, View) and shape.how.own_words else None
        shown = [replace(job, status=job.status if own is None else own) for job in shown]
        told, reading, scope = over_the_wire(shape, state, shown)
        parts = prefixes(reading)
        assert len(parts) == count, label
        assert parts[0][0] == ("jobs" if shape.several(state) else "job"), label
        for job, prefix in zip(shown, parts, strict=True):
            check_facts(label, shape, job, facts_of(reading, shape.job_type.outputs, prefix))
            if isinstance(shape.how, View) and "job.status" in shape.fields(state):
                assert alike(shape.how.words.state_read(reading[(*prefix, "status")], scope), state), label
        if isinstance(shape.how, View) and not shape.several(state) and is_told(shape.how, state):
            assert alike(told, state), label


def alike(told: State | None, state: State) -> bool:
    """Say whether a client does the same in the state that it is told of: it waits for all that are active."""
    return told is state or {told, state} <= ACTIVE


def is_told(view: View, state: State) -> bool:
    """Say whether a view tells the state of its job, by a word or in place of one."""
    return "job.status" in view.fields(state) or view.words.told_without_word


def check_facts(label: str, shape: Shape, job: Job, facts: dict[str, Any]) -> None:
    """Hold what was read against the job that was rendered: it is the same, and nothing is missing or added."""
    outputs = facts.pop("outputs", ())
    expected = told_of(job, shape.fields(job.state))
    found = told_of(Job(**{"id": "", **facts}), shape.fields(job.state))
    assert same({name: found.get(name) for name in expected}, expected), label
    assert {camel(name) for name in facts} <= {name.split(".")[1] for name in expected}, label
    carried = shape.fields(job.state) & {"job.result", "output.url", "output.content"}
    assert bool(outputs) == (bool(carried) and job.state is State.SUCCEEDED), label
    for output, sent in zip(outputs, job.outputs, strict=False):
        assert (output.url, output.content) in ((sent.url, None), (None, sent.content)), label
        assert output.index == sent.index, label


DONE = [shape for shape, state in SHOWN if state is State.SUCCEEDED]


@pytest.mark.parametrize("shape", DONE, ids=[f"{shape.provider} {shape.name}" for shape in DONE])
def test_every_file_of_a_result_is_read_back(shape: Shape):
    """Where the result or the view lists files, all of them are read back, by their links or by their bytes."""
    state = State.SUCCEEDED
    files = tuple(Output(url=f"u{index}", content=bytes([index]), index=index) for index in range(3))
    job = Job(id="j", state=state, status=shape.job_type.words.shown(state), outputs=files, input={})
    outputs = shape.job_type.outputs
    assert outputs is not None
    job.result = outputs.render({"job": job})
    whole = facts_of({("job", "result"): job.result}, outputs)["outputs"]
    for wanted in ("url", "b64_json"):
        job = replace(job, input={"response_format": wanted})
        _, reading, _ = over_the_wire(shape, state, [job])
        found = facts_of(reading, outputs, prefixes(reading)[0]).get("outputs", ())
        if "output.url" in shape.fields(state):
            as_bytes = wanted == "b64_json" and "output.content" in shape.fields(state)
            expected = [(None, bytes([index])) if as_bytes else (f"u{index}", None) for index in range(3)]
            assert [(output.url, output.content) for output in found] == expected
        elif "job.result" in shape.fields(state):
            assert found == whole
        else:
            assert found == ()
