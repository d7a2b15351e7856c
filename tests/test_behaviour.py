"""Tests of the behaviour file and the scenarios."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.small import JOB, small, write
from understudy.behaviour import DEFAULT_TIMELINE, Behaviour, load_behaviour
from understudy.contract.build import load_contract
from understudy.contract.model import Contract
from understudy.errors import ContractInvalid, UsageError
from understudy.lifecycle import TERMINAL, TRANSITIONS, Job, State, Step
from understudy.media import Picture
from understudy.plan import with_outcome, wrong_steps


@pytest.fixture(scope="module")
def contract(tmp_path_factory) -> Contract:
    """Return the contract of a small provider with one failure, one error and one transport."""
    states = {**JOB["states"], "running": ["working", {"word": 7}, {"when": "$statusCode == 202"}]}
    failures = {"content-policy": {"message": "refused"}}
    errors = {"maintenance": [{"http": 503}]}
    root = small(tmp_path_factory.mktemp("small"), states=states, failures=failures, errors=errors)
    return load_contract(root / "contracts/small")


def problems_of(contract: Contract, folder: Path) -> list[str]:
    """Return the problems of a folder of files, each as `file:line: text`."""
    with pytest.raises(ContractInvalid) as caught:
        load_behaviour(folder, contract)
    return [
        str(problem).removeprefix(f"{os.path.relpath(folder)}/").removeprefix(f"{folder}/")
        for problem in caught.value.problems
    ]


# Behaviour


def test_a_provider_without_a_fake_folder_acts_as_usual(contract: Contract, tmp_path: Path) -> None:
    """Where there is no behaviour file, the stand-in has the usual timeline, money, latency and pictures."""
    behaviour = load_behaviour(tmp_path / "none", contract)
    assert (behaviour.timeline, behaviour.balance, behaviour.latency_seconds) == (DEFAULT_TIMELINE, 1000, 0.1)
    assert behaviour.refused_keys.search("invalid-key")
    assert not behaviour.refused_keys.search("a key that is not invalid")
    assert (behaviour.secrets, dict(behaviour.scenarios), behaviour.visible_after_seconds) == ({}, {}, 0)
    job = Job(id="a", input={"prompt": "x"})
    assert behaviour.pictures.of(job) == Picture(1024, 1024, "png", "")
    assert behaviour.pictures.count_of(job) == 1


def test_the_behaviour_file_says_it_all(contract: Contract, tmp_path: Path) -> None:
    """Each key of the file is what the stand-in goes by."""
    file = """
        timeline: [{status: queued, seconds: 1, progress: 0.5}, {status: 7, reads: 2}, {state: failed}]
        balance: 5
        latencySeconds: 0
        refusedTokens: ^bad
        secrets: {webhook: s}
        visibleAfterSeconds: 3
    """
    (tmp_path / "behaviour.yaml").write_text(file, encoding="utf-8")
    behaviour = load_behaviour(tmp_path, contract)
    assert behaviour.timeline == (
        Step(State.QUEUED, "queued", seconds=1, progress=0.5),
        Step(State.RUNNING, 7, reads=2),
        Step(State.FAILED),
    )
    assert (behaviour.balance, behaviour.latency_seconds, behaviour.visible_after_seconds) == (5, 0, 3)
    assert behaviour.refused_keys.search("bad key")
    assert behaviour.secrets == {"webhook": "s"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("balanc: 1", '1: unknown key "balanc"; did you mean "balance"?'),
        ("balance: much", '1: "balance" must be number, not "much"'),
        ("\nrefusedTokens: '('", '2: "(" is no regular expression: missing )'),
        ("pictures:\n  text: $jobb.input", '2: there is no root "$jobb"; did you mean "job"?'),
        ("pictures:\n  format: bmp", '2: "format" cannot be "bmp"; there is: jpeg, jpg, png, webp'),
        ("pictures:\n  format: [$job.input#/format, jpge]", '2: "format" cannot be "jpge"; did you mean "jpeg"?'),
        ("pictures:\n  format: $job.input#/format|default(7)", '2: "format" cannot be 7; there is: jpeg, jpg, png'),
        ("timeline: []", "1: "),
        ("timeline:\n- {status: workin}", '2: no state has the word "workin"; did you mean "working"?'),
        ("timeline:\n- {state: runing}", '2: "state" cannot be "runing"; did you mean "running"?'),
        ("timeline:\n- {seconds: 1}", '2: an item of "timeline" lacks "state"'),
        ("timeline:\n- {state: queued, reads: 1, seconds: 1}", '2: "seconds" cannot stand beside the other keys'),
        ("timeline:\n- {state: queued}\n- {state: failed}", '2: only the last step may lack "seconds" or "reads"'),
        ("timeline:\n- {state: queued, seconds: 1}", "2: the last step lasts for ever"),
        ("timeline:\n- {state: failed, reads: 1}\n- {state: queued}", "3: a job cannot go from failed to queued"),
        ("", '1: the file must be object, not null'),
        ("a: [", ""),
    ],
)  # fmt: skip
def test_a_problem_of_the_behaviour_file_has_its_line(
    contract: Contract, tmp_path: Path, text: str, problem: str
) -> None:
    """Each mistake is told with file, line and the nearest valid name."""
    (tmp_path / "behaviour.yaml").write_text(text, encoding="utf-8")
    assert any(found.startswith(f"behaviour.yaml:{problem}") for found in problems_of(contract, tmp_path))


# Scenarios


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("when: 'true'", '1: the file lacks "description"'),
        ("description: x\nfailure: content-polic", '2: there is no failure "content-polic"; did you mean "content-'),
        ("description: x\nerror: maintenanc", '2: there is no error "maintenanc"; did you mean "maintenance"?'),
        ("description: x\nerrors: body", '2: errors cannot come by "body" here; there is: http'),
        ("description: x\nwhen: $job.inpt", '2: "$job" has no "inpt"; did you mean "input"?'),
        ("description: x\nnth: 0", '2: "nth"'),
        ("description: x\nstory: y", '2: unknown key "story"'),
        ("description: x\ntimeline: [{status: 8}]", '2: no state has the word "8"'),
    ],
)  # fmt: skip
def test_a_problem_of_a_scenario_has_its_line(contract: Contract, tmp_path: Path, text: str, problem: str) -> None:
    """Each mistake in a scenario is told with file, line and the nearest valid name."""
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios/a.yaml").write_text(text, encoding="utf-8")
    assert any(found.startswith(f"scenarios/a.yaml:{problem}") for found in problems_of(contract, tmp_path))


def test_all_problems_of_all_files_are_told_at_once(contract: Contract, tmp_path: Path) -> None:
    """One error has the problems of the behaviour file and of every scenario."""
    write(tmp_path / "behaviour.yaml", {"balanc": 1})
    for name in "ab":
        write(tmp_path / f"scenarios/{name}.yaml", {"description": "x", "nht": 1})
    assert [problem.partition(":")[0] for problem in problems_of(contract, tmp_path)] == [
        "behaviour.yaml",
        "scenarios/a.yaml",
        "scenarios/b.yaml",
    ]


def told(contract: Contract, folder: Path, **scenario: Any) -> Behaviour:
    write(folder / "scenarios/story.yaml", {"description": "A story.", **scenario})
    return load_behaviour(folder, contract)


def test_a_scenario_is_found_by_its_name(contract: Contract, tmp_path: Path) -> None:
    """A name that there is not is answered with the nearest that there is."""
    behaviour = told(contract, tmp_path, balance=3, errors="http", failure="content-policy", visibleAfterSeconds=2)
    story = behaviour.scenario("story")
    assert (story.name, story.description, story.balance, story.transport) == ("story", "A story.", 3, "http")
    assert (story.plan.failure, story.plan.visible_after_seconds) == ("content-policy", 2)
    with pytest.raises(UsageError, match='there is no scenario "stori"; did you mean "story"'):
        behaviour.scenario("stori")


@pytest.mark.parametrize(
    ("scenario", "chosen"),
    [
        ({}, [1, 2, 3]),
        ({"nth": 2}, [2]),
        ({"when": '$job.model == "m"'}, [1, 2, 3]),
        ({"when": '$job.model == "n"'}, []),
        ({"when": '$job.model == "m"', "nth": 3}, [3]),
    ],
)
def test_a_scenario_chooses_its_creates(contract: Contract, tmp_path: Path, scenario: dict, chosen: list[int]) -> None:
    """A scenario is for the creates that its condition and its number fit, and for all where it has neither."""
    story = told(contract, tmp_path, **scenario).scenario("story")
    assert [nth for nth in (1, 2, 3) if story.selects({"job": Job(id="a", model="m")}, nth)] == chosen


# Pictures


def test_a_size_in_pixels_may_have_two_places(contract: Contract, tmp_path: Path) -> None:
    """Where a request has width and height apart, so has the behaviour file; both are needed for a size."""
    pair = {"width": "$job.input#/width", "height": ["$job.input#/height", 64]}
    write(tmp_path / "behaviour.yaml", {"pictures": {"size": pair}})
    pictures = load_behaviour(tmp_path, contract).pictures
    made = [pictures.of(Job(id="a", input=input)) for input in ({"width": 48, "height": 24}, {"width": 48}, {})]
    assert [(one.width, one.height) for one in made] == [(48, 24), (48, 64), (1024, 1024)]


@pytest.mark.parametrize(
    ("size", "sides"),
    [
        ("1024*512", (1024, 512)),
        ("640x480", (640, 480)),
        ("640 \u00d7 480", (640, 480)),
        ({"width": 300, "height": 200}, (300, 200)),
        ("0x999999", (1, 8192)),
        ("square_hd", (1024, 1024)),
        (None, (1024, 1024)),
    ],
)
def test_a_size_in_pixels_is_kept(contract: Contract, tmp_path: Path, size: Any, sides: tuple[int, int]) -> None:
    """As providers write it, or as an object; what is no size leaves the picture as it is otherwise."""
    write(tmp_path / "behaviour.yaml", {"pictures": {"size": "$job.input#/size"}})
    made = load_behaviour(tmp_path, contract).pictures.of(Job(id="a", input={"size": size}))
    assert (made.width, made.height) == sides


@pytest.mark.parametrize(
    ("place", "format"),
    [("JPG", "jpg"), (["$job.input#/none", "webp"], "webp"), ('$job.input#/none|head(1)|default("jpeg")', "jpeg"),
     ("$job.input#/format", "png")],
)  # fmt: skip
def test_a_format_that_can_be_drawn(contract: Contract, tmp_path: Path, place: Any, format: str) -> None:
    """A format may be written in any case, and as a default; one that a job asks for in vain is drawn as PNG."""
    write(tmp_path / "behaviour.yaml", {"pictures": {"format": place}})
    pictures = load_behaviour(tmp_path, contract).pictures
    assert pictures.of(Job(id="a", input={"format": "bmp"})).extension == format


def test_pictures_follow_the_input(contract: Contract, tmp_path: Path) -> None:
    """Format, shape, size, text and number of the pictures are where the behaviour file says."""
    pictures = {
        "format": "$job.input#/format",
        "aspectRatio": ["$job.input#/ratio", "2:1"],
        "aspectRatios": {"wide": "4:1"},
        "resolution": "$job.input#/size",
        "sides": {"small": 64, "7": 32},
        "text": "$job.input#/prompt",
        "count": "$job.input#/count",
    }
    write(tmp_path / "behaviour.yaml", {"pictures": pictures})
    found = load_behaviour(tmp_path, contract).pictures
    asked = {"format": "webp", "ratio": "wide", "size": "small", "prompt": "a", "count": 3}
    assert found.of(Job(id="a", input=asked)) == Picture(128, 32, "webp", "a")
    assert found.count_of(Job(id="a", input=asked)) == 3
    assert found.of(Job(id="a", input={"size": 7, "prompt": ["a"]})) == Picture(48, 24, "png", "['a']")


@given(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.lists(st.none()))
def test_there_are_one_to_sixteen_pictures(counting: Behaviour, count: Any) -> None:
    """Whatever is asked for, there are from 1 to 16 pictures, as many as asked where that is a number between."""
    made = counting.pictures.count_of(Job(id="a", input={"count": count}))
    assert 1 <= made <= 16
    if isinstance(count, int | float) and 1 <= count <= 16:
        assert made == int(count)


@pytest.fixture(scope="module")
def counting(contract: Contract, tmp_path_factory) -> Behaviour:
    """Return a behaviour that makes as many pictures as the input asks for."""
    folder = tmp_path_factory.mktemp("counting")
    write(folder / "behaviour.yaml", {"pictures": {"count": "$job.input#/count"}})
    return load_behaviour(folder, contract)


# Timelines

steps = st.builds(
    Step,
    st.sampled_from(State),
    seconds=st.none() | st.integers(0, 3),
    reads=st.none() | st.integers(1, 3),
)


@given(st.lists(steps, max_size=4))
def test_a_timeline_is_right_when_a_job_can_go_through_it(timeline: list[Step]) -> None:
    """Nothing is wrong with a timeline exactly when each step may follow, lasts in one way, and the last for ever."""
    states = [State.QUEUED, *(step.state for step in timeline)]
    right = all(after in TRANSITIONS[before] for before, after in pairwise(states))
    right = right and all((step.seconds is None) != (step.reads is None) for step in timeline[:-1])
    right = right and all(step.seconds is None and step.reads is None for step in timeline[-1:])
    wrong = list(wrong_steps(timeline))
    assert (not wrong) == right
    assert all(0 <= index < len(timeline) and text for index, text in wrong)


@given(st.lists(steps, min_size=1, max_size=4).map(tuple), st.none() | st.just("content-policy"))
def test_a_failure_replaces_the_end(timeline: tuple[Step, ...], failure: str | None) -> None:
    """A named failure ends a timeline that has an end, and leaves one that has none, and one that fails, as it is."""
    last = timeline[-1].state
    as_it_is = failure is None or last is State.FAILED or last not in TERMINAL
    assert with_outcome(timeline, failure) == (timeline if as_it_is else (*timeline[:-1], Step(State.FAILED)))


def test_the_scenarios_of_a_proven_fake_are_read_when_they_are_asked_for(contract: Contract, tmp_path: Path) -> None:
    """What is known to be usable need not be read to be named; a file that is wrong all the same is told then."""
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios/fine.yaml").write_text("description: A story.", encoding="utf-8")
    (tmp_path / "scenarios/wrong.yaml").write_text("descripton: A story.", encoding="utf-8")
    scenarios = load_behaviour(tmp_path, contract, proven=True).scenarios
    assert list(scenarios) == ["fine", "wrong"]
    assert len(scenarios) == 2
    assert "wrong" in scenarios
    assert scenarios["fine"] is scenarios["fine"]
    with pytest.raises(ContractInvalid, match='did you mean "description"'):
        scenarios["wrong"]
