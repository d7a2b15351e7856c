"""Tests of when a fault strikes, of rules that cannot be, and of the page that lists the faults."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from tests.live import STORIES
from tests.small import small
from tests.test_faults import client_of, create, heard, seen
from understudy import ContractInvalid, Fake, Receiver, UsageError
from understudy.faults import fault_class, fault_names
from understudy.faults.fault import Fault, Moment, Part
from understudy.handlers import HANDLERS
from understudy.scenario import load_scenario
from understudy.trouble import fault_rule, wrong_rule
from understudy.wire import Stream

KIE = STORIES["kie"]
LISTED = Path(__file__).parents[1] / "docs/faults.md"


def test_faults_say_what_they_are() -> None:
    """Each fault has moments, parts and parameters of plain types, and a sentence of its own for each parameter."""
    for name in fault_names():
        kind = fault_class(name)
        assert kind.__name__ == "".join(word.capitalize() for word in name.split("-"))
        assert kind.moments
        assert set(kind.moments) <= set(get_args(Moment))
        assert kind.on
        assert set(kind.on) <= set(get_args(Part))
        for field in dataclasses.fields(kind):
            assert f"        {field.name}: " in (kind.__doc__ or "")


def test_an_error_can_strike_whatever_is_asked_for() -> None:
    """Each part of a contract that a request asks for can be struck by an error."""
    assert HANDLERS.keys() <= set(fault_class("error").on)


def test_a_fault_that_does_nothing_does_nothing() -> None:
    """What a fault leaves alone happens as usual."""

    @dataclasses.dataclass(frozen=True)
    class Nothing(Fault):
        moments = ("reply",)
        on = ("create",)

    fake = Fake("kie")
    rule = dataclasses.replace(fault_rule("delay", None, {}), fault=Nothing())
    for on in ("create", "callback"):
        fake.provider.arm(dataclasses.replace(rule, on=on))
    with Receiver() as receiver, fake:
        job_id = KIE.id_of(create(client_of(fake), "", callBackUrl=receiver.url)().json())
        fake.wait_for(job_id, delivery=True)
    oxen = Fake("oxen")
    oxen.provider.arm(dataclasses.replace(rule, on="events"))
    assert heard(oxen)[1] == "told"


@pytest.mark.parametrize(
    ("name", "given", "text"),
    [
        ("anser-lost", {}, 'there is no fault "anser-lost"; did you mean "answer-lost"?'),
        ("answer-lost", {"on": "callback"}, '"answer-lost" cannot strike "callback"; there is:'),
        ("answer-lost", {"on": "creat"}, '"answer-lost" cannot strike "creat"; did you mean "create"?'),
        ("delay", {"second": 1}, '"delay" has no "second"; did you mean "seconds"?'),
        ("delay", {"seconds": "1"}, '"seconds" of "delay" has to be a number from 0 to 31,622,400, and not \'1\''),
        ("delay", {"seconds": True}, '"seconds" of "delay" has to be a number from 0 to 31,622,400, and not True'),
        (
            "dribble",
            {"chunk_bytes": -1},
            '"chunk_bytes" of "dribble" has to be a whole number from 1 to 1,073,741,824, and not -1',
        ),
        (
            "html-error-page",
            {"status": 1.5},
            '"status" of "html-error-page" has to be a whole number from 200 to 599, and not 1.5',
        ),
        ("html-error-page", {"committed": 1}, '"committed" of "html-error-page" has to be true or false, and not 1'),
        (
            "body-truncated",
            {"sent_share": 5.0},
            '"sent_share" of "body-truncated" has to be a number from 0 to 1, and not',
        ),
        ("callback-stale", {"age_seconds": float("inf")}, "has to be a number from 0 to 31,622,400, and not inf"),
        ("error", {"retry_after_seconds": float("nan")}, "has to be a number from 0 to 31,622,400, and not nan"),
        ("member-value", {}, '"member-value" needs a "pointer"'),
        ("member-value", {"pointer": "data"}, 'has to be a JSON pointer, which begins with "/", and not'),
        ("delay", {"nth": 0}, '"nth" has to be a whole number from 1, and not 0'),
        ("delay", {"times": "all"}, "\"times\" has to be a whole number from 1, or None for all, and not 'all'"),
        ("stream-drops", {}, 'kie has no part "events"; '),
        ("error", {"error": 5}, '"error" of "error" has to be text, and not 5'),
        ("error", {"error": "rateLimted"}, 'kie has no error "rateLimted"; did you mean "rateLimited"?'),
    ],
)
def test_a_rule_that_cannot_be_is_refused(name: str, given: dict[str, Any], text: str) -> None:
    """A wrong name, place or parameter is told with the nearest valid one."""
    with pytest.raises(UsageError, match=re.escape(text)):
        Fake("kie").fault(name, **given)


@pytest.mark.parametrize(
    ("name", "on", "parameters", "keys"),
    [
        ("delay", None, {"seconds": 1}, []),
        ("anser-lost", "creat", {"x": 1}, ["fault"]),
        ("answer-lost", "creat", {}, ["on"]),
        ("delay", "callback", {"second": 1, "seconds": "1"}, ["on", "second", "seconds"]),
    ],
)
def test_all_that_is_wrong_with_a_rule_is_told_by_its_key(
    name: str, on: str | None, parameters: dict[str, Any], keys: list[str]
) -> None:
    """Each wrong key of a rule is told, so that a scenario's file can be marked there."""
    assert [key for key, _ in wrong_rule(name, on, parameters)] == keys


def test_a_part_that_there_is_has_no_nearest_name() -> None:
    """A part that the fault cannot strike is no slip of the pen, and what can be struck is listed."""
    ((_, text),) = wrong_rule("answer-lost", "events", {})
    assert "did you mean" not in text
    assert text.endswith(f"there is: {', '.join(sorted(fault_class('answer-lost').on))}")


def test_a_fault_strikes_from_the_nth_request_on_and_so_many_times() -> None:
    """Requests are counted from the moment at which a fault is armed."""
    fake = Fake("kie")
    http = client_of(fake)
    create(http, "")()
    fake.fault("error", nth=2, times=2)
    codes = [create(http, "")().json()["code"] for _ in range(5)]
    assert codes == [200, 500, 500, 200, 200]
    assert not fake.provider._trouble.may_strike((), "create")
    fake.fault("error", times=None)
    assert [create(http, "")().json()["code"] for _ in range(3)] == [500, 500, 500]
    fake.reset()
    assert create(http, "")().json()["code"] == 200


@pytest.mark.parametrize(("part", "method"), [("status", "GET"), ("cancel", "DELETE")])
def test_a_fault_of_a_story_is_counted_job_by_job(tmp_path: Path, part: str, method: str) -> None:
    """What strikes the first request about a job strikes that of each job, and is noted with it."""
    story = {"description": "It fails at first.", "faults": [{"fault": "error", "on": part}]}
    root = small(tmp_path, scenarios={"shy": story}, errors={"serverError": [{"http": 500}]})
    fake = Fake("small", paths=[root], scenario="shy")
    client = fake.client()
    for _ in range(2):
        job = client.post("/jobs", json={"prompt": "a"}).json()["id"]
        assert [client.request(method, f"/jobs/{job}").status_code for _ in range(2)] == [500, 200]
    assert [(entry.on, entry.job_id) for entry in fake.journal.faults] == [(part, job) for job in fake.jobs]


def test_a_fault_of_a_file_is_noted_with_its_job() -> None:
    """What strikes a result file is noted with the job that the file is of."""
    fake = Fake("kie")
    job = KIE.id_of(create(client_of(fake), "")().json())
    fake.clock.advance(60)
    fake.fault("corrupt-file")
    fake.client().get(str(fake.jobs[job].outputs[0].url))
    assert [(entry.on, entry.job_id) for entry in fake.journal.faults] == [("assets", job)]


def test_several_faults_may_strike_one_request() -> None:
    """What one fault has made of a reply, the next one gets; one that leaves no answer has the last word."""
    fake = Fake("kie")
    fake.fault("delay", seconds=7)
    fake.fault("empty-body")
    began = fake.clock.now()
    assert create(client_of(fake), "")().content == b""
    assert fake.clock.now() - began > 7
    fake.fault("answer-lost")
    fake.fault("empty-body")
    assert seen(create(client_of(fake), "")) == "ReadError"


def test_a_fault_strikes_a_refusal_as_well() -> None:
    """The answer to a request that is refused can be lost, too."""
    fake = Fake("kie", balance=0)
    fake.fault("answer-lost")
    assert seen(create(client_of(fake), "")) == "ReadError"
    assert create(client_of(fake), "")().json()["code"] == 402


# --- the page that lists them -------------------------------------------------------------------------------------


def listed() -> str:
    """Return the table of the faults, made from the code."""
    lines = ["| fault | strikes | when | parameters |", "|---|---|---|---|"]
    for name in fault_names():
        kind = fault_class(name)
        doc = (kind.__doc__ or "").strip()
        first = doc.partition("\n")[0]
        told = dict(re.findall(r"^ +(\w+): (.+)$", doc.partition("Attributes:")[2], re.MULTILINE))
        parameters = [
            f"`{field.name}: {json.dumps(field.default)}` {told[field.name]}" for field in dataclasses.fields(kind)
        ]
        places = ", ".join(f"`{part}`" for part in kind.on)
        lines.append(f"| `{name}`: {first} | {places} | {', '.join(kind.moments)} | {'<br>'.join(parameters)} |")
    return "\n".join(lines) + "\n"


def test_the_page_lists_every_fault() -> None:
    """`docs/faults.md` has the table that the code makes; UNDERSTUDY_REFRESH=1 writes it."""
    head, mark, _ = LISTED.read_text(encoding="utf-8").partition("<!-- from the code -->\n")
    if os.environ.get("UNDERSTUDY_REFRESH") == "1":
        LISTED.write_text(head + mark + "\n" + listed(), encoding="utf-8")
    assert LISTED.read_text(encoding="utf-8") == head + mark + "\n" + listed()


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("{fault: dleay}", ':2: there is no fault "dleay"; did you mean "delay"?'),
        ("{fault: delay, with: {second: 3}}", ':2: "delay" has no "second"; did you mean "seconds"?'),
        (
            "{fault: error, with: {error: rateLimted}}",
            ':2: there is no error "rateLimted"; did you mean "rateLimited"?',
        ),
        ("{fault: stream-drops}", ':2: "events" is no part of this contract; '),
        ("{fault: delay, on: creates}", ':2: "delay" cannot strike "creates"; did you mean "create"?'),
    ],
)
def test_a_rule_of_a_scenario_that_cannot_be_is_told(rule: str, problem: str, tmp_path: Path) -> None:
    """What is wrong with a rule is told with its file and line."""
    path = tmp_path / "story.yaml"
    path.write_text(f"description: A story.\nfaults: [{rule}]\n", encoding="utf-8")
    with pytest.raises(ContractInvalid, match=re.escape(problem)):
        load_scenario(path, Fake("kie").contract.job_type)


def test_nothing_follows_the_end_of_a_stream() -> None:
    """A stream that a fault has ended is sent nothing more."""
    stream = Stream([], None, b"")
    stream.end()
    stream.send(b"late")
    assert not stream.frames


def test_a_journal_can_be_read_as_a_story() -> None:
    """The timeline has requests, states, deliveries and faults, each with its time."""
    fake = Fake("kie")
    assert fake.journal.timeline() == ""
    fake.fault("answer-lost")
    seen(create(client_of(fake), "", callBackUrl="http://example.com/hook"))
    fake.clock.advance(20)
    lines = [re.sub(r"[0-9a-f]{8}…", "ID", line).split(maxsplit=3) for line in fake.journal.timeline().splitlines()]
    assert [line[0] for line in lines] == ["0.0", "0.0", "0.0", "1.0", "3.0", "15.0", "15.0"]
    assert [line[2] for line in lines] == ["fault", "provider", "client", *["provider"] * 4]
    assert lines[0][3] == "answer-lost strikes create"
    assert lines[2][3] == "POST /api/v1/jobs/createTask no answer → job ID"
    assert lines[5][3] == "job ID is succeeded ('success')"
    assert lines[6][3].startswith("calls back http://example.com/hook: not sent")
