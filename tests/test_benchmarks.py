"""The harness of `make bench`: what it makes of figures, how it shows them, that each measure runs; none is timed."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks import load, played
from benchmarks.contenders import LIMIT, PEERS, UNDERSTUDY, Contender, served
from benchmarks.contract import LINES, grown
from benchmarks.drawing import MOST, draw, share
from benchmarks.figures import ONCE, TIMES, WHOLE, Missing, Series, in_turn, middle_half, ratios
from benchmarks.in_process import HEADERS, PAUSE_SECONDS, POLLS, fake
from benchmarks.least import Least
from benchmarks.measures import MEASURES, Measure, Row
from benchmarks.programs import started
from benchmarks.report import BEGIN, END, Result, Run, as_json, lines, page
from understudy.contract.build import load_contract
from understudy.fake import Fake
from understudy.folders import bundled_root
from understudy.wire import Reply, Request

pytestmark = pytest.mark.unmeasured

ROOT = Path(__file__).parents[1]

#: Those that need nothing from npm.
AT_HAND = [measure for measure in MEASURES if measure.name not in {peer.name.lower() for peer in PEERS if peer.needs}]

SLOWER = Row("slower", "slower & <dearer>", must=1.25, aim=1.0)
MORE = Row("more", "more a second", must=0.8, at_least=True)
ABSENT = Row("absent", "what is not there", must=3, unit="ms")
BESIDE = Row("beside", "for comparison", unit="µs")


def no_run(scale: object) -> dict[str, Series | Missing]:
    """Stand where a measure has what it runs."""
    raise AssertionError("it is not run")


def a_run() -> Run:
    """Return a run with a row of each kind, and a measure that could not be."""
    measure = Measure("shown", "What is shown", no_run, [SLOWER, MORE, ABSENT, BESIDE])
    found: dict[str, Series | Missing] = {
        "slower": ratios("Understudy", "L", [(3.0, 2.0), (4.0, 2.0), (2.0, 2.0)], "µs"),
        "more": Series([0.9]),
        "absent": Missing("no java"),
        "beside": Series([1234.5]),
    }
    left_out = Measure("left out", "What is left out", no_run, [ABSENT])
    results = [Result(measure, found), Result(left_out, Missing("node is not installed"))]
    return Run("2026-11-20", "2 CPUs", {"httpx": "0.28.1"}, "whole", results)


def test_a_ratio_is_taken_round_by_round():
    """The figure is the median of the ratios, not the ratio of the medians, and both sides are kept."""
    series = ratios("ours", "theirs", [(1.0, 2.0), (30.0, 10.0), (8.0, 4.0)], "ms")

    assert series.rounds == [0.5, 3.0, 2.0]
    assert series.median == 2.0
    assert series.sides == {"ours": [1.0, 30.0, 8.0], "theirs": [2.0, 10.0, 4.0]}


def test_the_spread_is_the_middle_half():
    """Half of the rounds lie in the spread, so that one bad round does not widen it."""
    assert middle_half([1, 2, 3, 4, 100]) == (2, 4)
    assert middle_half([7]) == (7, 7)


def test_sides_run_in_turn():
    """Every other round begins with the last side, and a round that is not counted comes first."""
    ran = list[str]()
    numbers = iter(range(100))

    def side(name: str) -> int:
        ran.append(name)
        return next(numbers)

    assert in_turn(2, lambda: side("a"), lambda: side("b")) == [(2, 3), (5, 4)]
    assert "".join(ran) == "ab" + "ab" + "ba"


def test_a_scale_says_how_much():
    """The whole is what a measure names; the least is one round, and what it takes to run at all."""
    assert (WHOLE.rounds(41), WHOLE.size(1000, 20)) == (41, 1000)
    assert (ONCE.rounds(41), ONCE.size(1000, 20)) == (1, 20)


def test_a_row_knows_which_way_is_better():
    """A figure reaches what it must from below or from above; one for comparison has nothing to reach."""
    assert [SLOWER.reaches(Series([figure])) for figure in (1.25, 1.26)] == [True, False]
    assert [MORE.reaches(Series([figure])) for figure in (0.8, 0.79)] == [True, False]
    assert BESIDE.reaches(Series([1.0])) is None


def squeezed(line: str) -> str:
    """Return a line without the spaces that make columns."""
    return " ".join(line.split())


def test_a_terminal_shows_what_must_be_beside_what_is():
    """Each row has its figure, its spread, what it must be and whether it is; what is left out says why."""
    shown, left_out = ["\n".join(lines(result)) for result in a_run().results]

    first, *others = shown.strip().splitlines()
    assert first == "What is shown  [shown]"
    assert squeezed(others[0]) == f"slower & <dearer> 1.50 {TIMES} (1.25 to 1.75) at most 1.25, aim 1 no"
    assert others[1:3] == ["      round by round: 1.5 2 1", "      Understudy 3 µs, L 2 µs"]
    assert squeezed(others[3]) == f"more a second 0.90 {TIMES} (once) at least 0.8 yes"
    assert others[4] == "  what is not there: left out: no java"
    assert squeezed(others[5]) == "for comparison 1,234 µs (once)"
    assert left_out.strip().splitlines() == ["What is left out  [left out]", "  left out: node is not installed"]


def test_json_has_the_figures_of_each_round():
    """Whoever doubts a median finds in the JSON what it was made of."""
    data = json.loads(as_json(a_run()))
    slower, _, absent, _, other = data["rows"]

    assert (slower["median"], slower["rounds"], slower["reached"]) == (1.5, [1.5, 2.0, 1.0], False)
    assert slower["sides"] == {"Understudy": [3.0, 4.0, 2.0], "L": [2.0, 2.0, 2.0]}
    assert (absent["left_out"], other["left_out"]) == ("no java", "node is not installed")
    assert (data["date"], data["machine"], data["versions"]) == ("2026-11-20", "2 CPUs", {"httpx": "0.28.1"})


def test_the_drawing_is_xml_with_a_bar_for_each_row():
    """Each row that must reach something has a bar in the colour of whether it does; what is left out has none."""
    svg = ElementTree.fromstring(draw(a_run()))
    name = "{http://www.w3.org/2000/svg}"
    bars = [element.get("class") for element in svg.iter(f"{name}rect") if element.get("class") != "track"]
    texts = [element.text for element in svg.iter(f"{name}text")]

    assert bars == ["bad", "good"]
    assert "slower & <dearer>" in texts
    assert "What is left out" not in texts
    assert "prefers-color-scheme: dark" in str(svg.findtext(f"{name}style"))


@pytest.mark.parametrize(
    ("row", "figure", "expected"),
    [
        (SLOWER, 2.5, 2.0),
        (MORE, 1.6, 0.5),
        (MORE, 0.0, MOST),
        (ABSENT, -1.0, 0.0),
        (dataclasses.replace(ABSENT, must=0), 0.0, 0.0),
        (dataclasses.replace(ABSENT, must=0), 1.0, MOST),
    ],
)
def test_a_bar_is_as_long_as_what_is_allowed_is_used(row: Row, figure: float, expected: float):
    """A bar ends at the line where a figure is just as it must be, whichever way is better."""
    assert share(row, figure) == expected


def test_a_page_gets_the_figures_between_its_marks():
    """What people wrote stays, what an earlier run wrote goes, and date, machine and versions are there."""
    written = page(f"above\n{BEGIN}\nold\n{END}\nbelow\n", a_run(), "drawing.svg")

    assert written.startswith(f"above\n{BEGIN}\n")
    assert written.endswith(f"\n{END}\nbelow\n")
    assert "old" not in written
    assert "2026-11-20, 2 CPUs; whole. httpx 0.28.1." in written
    assert "](drawing.svg)" in written
    assert (
        f"| slower & <dearer> | 1.50 {TIMES} | 1.25 to 1.75 | Understudy 3 µs, L 2 µs | at most 1.25, aim 1 | no |"
        in written
    )
    assert "| **What is left out** | left out: node is not installed |" in written


def test_a_page_without_marks_is_refused():
    """A page that has no place for the figures is not touched."""
    with pytest.raises(ValueError, match="no place for the figures"):
        page("nothing", a_run(), "drawing.svg")


def test_the_page_of_the_documents_has_its_marks():
    """`make bench` finds where to write."""
    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")

    assert page(text, a_run(), "performance.svg").startswith("# How fast it is")


@pytest.mark.parametrize("measure", AT_HAND, ids=[measure.name for measure in AT_HAND])
def test_a_measure_finds_a_figure_for_each_of_its_rows(measure: Measure):
    """Each measure runs at the smallest size, and finds what its rows are to show."""
    found = measure.run(ONCE)

    if isinstance(found, Missing):
        assert (found.reason, sys.platform == "linux") == ("only Linux tells what a process takes", False)
    else:
        assert {row.key for row in measure.rows} <= set(found)
        assert all(isinstance(found[row.key], Series) for row in measure.rows)


@pytest.mark.parametrize("peer", PEERS, ids=[peer.name for peer in PEERS])
def test_what_a_peer_needs_is_written_before_it_starts(peer: Contender, tmp_path: Path):
    """What a machine lacks is named; what is there is started with files that can be read."""
    without = dataclasses.replace(peer, needs=(ROOT / ".tools-bench" / "nobody",))
    assert without.lacks() == ".tools-bench/nobody is not there: make bench gets it from npm"
    assert dataclasses.replace(peer, needs=("no-such-program",)).lacks() == "no-such-program is not installed"
    if all(not isinstance(need, Path) or need.exists() for need in peer.needs):
        assert str(4010) in peer.command(4010, tmp_path)
        assert all(json.loads(file.read_text()) for file in tmp_path.rglob("*.json"))


@pytest.mark.parametrize("contender", [UNDERSTUDY, LIMIT], ids=["Understudy", "L"])
def test_both_sides_answer_alike(contender: Contender):
    """What is compared does the same: a create makes a job, a poll finds it, and after a reset it is gone."""
    with tempfile.TemporaryDirectory() as name, served(contender, Path(name)) as server:
        (poll,) = server.polls(1)
        found = load.ask(server.port, poll)
        server.reset()
        gone = load.ask(server.port, poll)
        stranger = load.ask(server.port, poll.replace(b"Authorization: Bearer understudy-key\r\n", b""))

    assert b'"state":"waiting"' in found
    assert b'"recordInfo is null"' in gone
    assert b'"code":401' in stranger


def told(one: Fake | Least) -> list[Any]:
    """Return what a create and three polls are answered, with one name for each id."""
    headers = [*HEADERS.items(), ("content-type", "application/json")]
    created = one.handle(Request("POST", played.CREATE_PATH, "", headers, json.dumps(played.BODY).encode()))
    assert isinstance(created, Reply)
    answers = [created]
    for _ in range(POLLS):
        one.clock.sleep(PAUSE_SECONDS)
        polled = one.handle(Request("GET", played.POLL_PATH, f"taskId={created.jobs[0]}", headers))
        assert isinstance(polled, Reply)
        answers.append(polled)
    return [json.loads(answer.body.replace(created.jobs[0].encode(), b"id")) for answer in answers]


def test_the_least_answers_as_the_stand_in_does():
    """What is measured by hand plays the same story, to the last member of each answer."""
    with fake() as ours:
        assert told(Least()) == told(ours)


def test_the_played_provider_never_refuses_for_a_limit(tmp_path: Path):
    """The contract that is measured is the bundled one, with its limits counted and out of reach."""
    job_type = load_contract(played.write_provider(tmp_path) / "contracts" / played.PROVIDER).job_type

    assert all(rate.most / rate.per_seconds >= 1_000_000 for rate in job_type.rates)
    assert len(job_type.rates) == 2
    assert job_type.concurrent_jobs == 1_000_000_000


def test_the_contract_that_is_loaded_has_its_lines(tmp_path: Path):
    """The contract of 2,000 lines has that many, loads, and knows the models that were added."""
    folder = played.write_provider(tmp_path) / "contracts" / played.PROVIDER
    text = grown((bundled_root() / "contracts" / played.PROVIDER / "openapi.yaml").read_text(encoding="utf-8"))
    (folder / "openapi.yaml").write_text(text, encoding="utf-8")

    assert LINES <= text.count("\n") < LINES + 20
    assert load_contract(folder).job_type.name == "task"


@pytest.mark.parametrize(
    ("answer", "ended", "whole"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Le", False, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", False, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", False, True),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n", False, False),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", False, True),
        (b"HTTP/1.0 200 OK\r\n\r\nok", False, False),
        (b"HTTP/1.0 200 OK\r\n\r\nok", True, True),
    ],
)
def test_the_load_knows_when_an_answer_is_whole(answer: bytes, ended: bool, whole: bool):
    """An answer is read to its end, however a server tells it."""
    assert load.is_whole(answer, ended=ended) is whole


def test_an_answer_that_is_cut_short_ends_the_run():
    """A connection that ends in the middle of an answer is no request that was answered."""
    with pytest.raises(RuntimeError, match="in the middle of an answer"):
        load.is_whole(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", ended=True)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 500 Oh\r\n\r\ntaskId", b"HTTP/1.1 200 OK\r\n\r\n{}"])
def test_an_answer_that_is_not_as_it_should_be_ends_the_run(answer: bytes):
    """A server that answers errors is not quick."""
    with pytest.raises(RuntimeError, match="another status than 200"):
        load.check(answer, b"taskId")


def test_what_is_started_ends_with_its_block(tmp_path: Path):
    """Nothing that was started is left behind, at Ctrl-C neither."""
    waiting = [sys.executable, "-c", "import time; time.sleep(600)"]
    with pytest.raises(KeyboardInterrupt), started(waiting, tmp_path) as program:
        raise KeyboardInterrupt
    assert not Path(f"/proc/{program.pid}").exists()


def test_a_program_that_does_not_start_says_what_it_said(tmp_path: Path):
    """The error has the last words of the program."""
    failing = [sys.executable, "-c", "exit('no such option')"]
    with started(failing, tmp_path) as program, pytest.raises(RuntimeError, match="no such option"):
        program.wait_for_port(1)


def test_a_run_writes_what_it_found(tmp_path: Path):
    """The command measures the rows that were asked for, and writes the figures, the drawing and the page."""
    (tmp_path / "performance.md").write_text(f"{BEGIN}\n{END}\n")
    command = [sys.executable, "-m", "benchmarks", "--quick", "--rows", "core", "--out", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)

    assert ran.returncode == 0, ran.stderr
    assert [row["measure"] for row in json.loads((tmp_path / "performance.json").read_text())["rows"]] == ["core"] * 2
    assert "| **The core alone** |" in (tmp_path / "performance.md").read_text()
    assert (tmp_path / "performance.svg").exists()


def test_a_row_that_is_not_there_is_named():
    """A misspelt row is refused, with those that there are."""
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--rows", "cores"], capture_output=True, text=True, cwd=ROOT
    )

    assert ran.returncode == 2
    assert "there is no row cores; there are live, latency," in ran.stderr
