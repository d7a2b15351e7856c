"""Tests of reports of coverage: how they are added up, told to people and to CI, and drawn on a page."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from understudy import State
from understudy.cli import main
from understudy.coverage.drawing import lifecycle
from understudy.coverage.page import page
from understudy.coverage.report import KINDS, Covered, Item, as_data, as_json, merged, of_data
from understudy.lifecycle import TERMINAL

# --- reports ---

names = st.text(max_size=5)
entries = st.builds(Item, st.sampled_from(KINDS), names, names, st.integers(0, 3))
covereds = st.builds(Covered, names, st.lists(entries, max_size=6, unique_by=lambda item: item[:2]).map(tuple))
reports = st.lists(covereds, max_size=3, unique_by=lambda covered: covered.provider)


def touches(report: list[Covered]) -> dict[Any, int]:
    """Return how often each thing was touched."""
    return {(covered.provider, item.kind, item.name): item.times for covered in report for item in covered.items}


@given(reports, reports)
def test_reports_are_added_up(one: list[Covered], other: list[Covered]) -> None:
    """Merged reports have what either has, as often as both together, in whichever order, and through JSON too."""
    first, second = touches(one), touches(other)
    both = merged([one, other])
    assert touches(both) == {key: first.get(key, 0) + second.get(key, 0) for key in first.keys() | second.keys()}
    assert touches(merged([other, one])) == touches(both)
    assert of_data(json.loads(as_json(both)), "here") == both
    for covered in both:
        order = [KINDS.index(item.kind) for item in covered.items]
        assert order == sorted(order)
        assert (covered.percent == 100) == (not covered.gaps and bool(covered.items))


REPORT = [
    Covered(
        "acme",
        (
            Item("states", "queued", "a", 2),
            Item("transitions", "new → queued", "b", 2),
            Item("transitions", "queued → failed", 'acme.next_job(failure="<rude>")'),
            Item("outcomes", "failed", "c"),
        ),
    )
]


@pytest.fixture
def written(tmp_path: Path) -> str:
    """A file with a report."""
    (tmp_path / "report.json").write_text(as_json(REPORT), encoding="utf-8")
    return str(tmp_path / "report.json")


def test_people_are_told_what_closes_each_gap(written: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The text has each gap with what closes it, and the exit code says whether it is enough."""
    assert main(["coverage", written, written]) == 0
    assert capsys.readouterr().out == (
        "acme: 50 %, 2 of 4 touched\n"
        "  states 1 of 1\n"
        "  transitions 1 of 2\n"
        '    queued → failed  acme.next_job(failure="<rude>")\n'
        "  outcomes 0 of 1\n"
        "    failed  c\n"
    )
    assert main(["coverage", written, "--fail-under", "50"]) == 0
    assert main(["coverage", written, "--fail-under", "51"]) == 1


@pytest.mark.parametrize(("least", "level", "mark"), [("51", "error", "<failure"), ("50", "notice", "<system-out")])
def test_ci_is_told_of_each_gap(
    written: str, capsys: pytest.CaptureFixture[str], least: str, level: str, mark: str
) -> None:
    """A gap is an error where the provider is below the percentage, else a note; JSON is the report itself."""
    main(["coverage", written, "--fail-under", least, "--format", "github"])
    assert capsys.readouterr().out.count(f"::{level} title=understudy coverage%3A gap::acme: no test has touched ") == 2
    main(["coverage", written, "--fail-under", least, "--format", "junit"])
    junit = capsys.readouterr().out
    assert (junit.count("<testcase"), junit.count(mark)) == (4, 2)
    main(["coverage", written, "--format", "json"])
    assert json.loads(capsys.readouterr().out) == as_data(REPORT)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "cannot be read: No such file or directory."),
        ("\udcff", "cannot be read: it is no text."),
        ("{", "cannot be used: it is no coverage of version 1."),
        ('{"version": 2, "providers": []}', "cannot be used"),
        ('{"version": 1, "providers": [{"name": "a", "items": [{"kind": "odd", "name": "", "close": ""}]}]}', "cannot"),
        ('{"version": 1, "providers": [{"name": "a", "items": [{"what": 1}]}]}', "cannot be used"),
    ],
)
def test_what_is_no_report_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str | None, told: str
) -> None:
    """A file that is missing or holds something else is named, with what to do, and no traceback."""
    monkeypatch.chdir(tmp_path)
    if text is not None:
        (tmp_path / ".understudy-coverage").write_bytes(text.encode(errors="surrogateescape"))
    assert main(["coverage"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(".understudy-coverage ")
    assert told in error
    assert error.endswith("  `pytest --understudy-coverage` writes such a file.\n")


# --- the page ---

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-logging=stderr"),
)


def look(path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Open a page in Chromium."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    command = [CHROMIUM, *QUIET, f"--user-data-dir={path.parent / 'browser'}", *options, path.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)


def test_the_page_opens_in_a_browser(tmp_path: Path, written: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The page needs nothing else, says nothing to the console, and shows in red what was never walked."""
    main(["coverage", written, "--format", "html"])
    file = tmp_path / "page.html"
    file.write_text(capsys.readouterr().out, encoding="utf-8")
    shot = tmp_path / "shot.png"
    said = look(file, f"--screenshot={shot}", "--window-size=1000,700", "--blink-settings=preferredColorScheme=1")
    assert "CONSOLE" not in said.stderr
    with Image.open(shot) as opened:
        colours = {colour for _, colour in opened.convert("RGB").getcolors(1 << 24) or []}
    assert {(255, 255, 255), (26, 127, 75), (198, 47, 47)} <= colours  # light: the ground, walked, and never walked
    shown = look(file, "--dump-dom").stdout
    assert '<g class="missed" data-transition="queued → failed"><title>queued → failed: never walked</title>' in shown
    assert '<g class="walked" data-transition="new → queued"><title>new → queued: 2 times</title>' in shown
    assert "&lt;rude&gt;" in shown


TAG = re.compile(r"<([a-z0-9]+)")


@given(covereds, st.sampled_from(['<b x="', "</svg>", "'\"&", "new → queued", "→"]))
def test_nothing_in_a_page_is_taken_for_more_than_text(covered: Covered, text: str) -> None:
    """Whatever a report says, the page has the tags of one that says nothing odd, and leads nowhere."""
    items = tuple(item._replace(name=text + item.name, close=item.close + text) for item in covered.items)
    plain = tuple(item._replace(name=str(number), close="") for number, item in enumerate(covered.items))
    odd, usual = page([Covered(text, items)]), page([Covered("plain", plain)])
    if "new" not in text:  # which is drawn
        assert TAG.findall(odd) == TAG.findall(usual)
    assert not re.search(r"(src|href)=(?!\"data:,\")|url\(|@import", odd)


@pytest.mark.parametrize("name", list(State))
def test_every_lifecycle_can_be_drawn(name: State) -> None:
    """Each transition between two states there are has an arrow, whatever stands between them."""
    walks = [f"{before} → {state}" for before in ("new", *State) for state in State if before != state]
    states = [Item("outcomes" if state in TERMINAL else "states", state.value, "") for state in State]
    drawn = lifecycle(Covered("acme", (*states, *(Item("transitions", walk, "") for walk in walks))))
    assert drawn.count("data-transition=") == len(walks)
    alone = lifecycle(Covered("acme", (Item("states", name.value, "", 1), Item("transitions", f"new → {name}", "", 1))))
    assert alone.count('<g class="walked"') == 1
