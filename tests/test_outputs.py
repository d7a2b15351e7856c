"""Tests of what is told to CI: each format is read by a tool of somebody else's, or as its specification has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from junitparser import Failure, JUnitXml, Skipped
from sarif_pydantic import Sarif  # type: ignore[import-untyped]

from understudy import cli
from understudy.check import FORMATS, check_provider, run
from understudy.folders import find_provider
from understudy.outputs import WRITERS, Case, Finding, github, junit, sarif

WRONG = Finding("state-removed", "error", "the state is gone\n  do: look", "contracts/a b/openapi.yaml", 7)
ODD = Finding("price-raised", "warning", "it costs more: 4%, not 3%")
CASES = [
    Case("kie", "states", (WRONG, ODD), seconds=1.5),
    Case("kie", "prices", (ODD,)),
    Case("kie", "callbacks", skipped="there are none"),
    Case("oxen", "states"),
]

findings = st.builds(
    Finding,
    st.from_regex(r"[a-z]+(-[a-z]+)*", fullmatch=True),
    st.sampled_from(["error", "warning", "note"]),
    st.text(),
    st.none() | st.text(min_size=1),
    st.none() | st.integers(1, 10**6),
)
cases = st.lists(st.builds(Case, st.text(), st.text(), st.lists(findings).map(tuple), st.none() | st.text()))


def read(text: str, folder: Path) -> Any:
    """Return JUnit XML as a library reads it."""
    path = folder / "junit.xml"
    path.write_text(text, encoding="utf-8")
    return JUnitXml.fromfile(str(path))


def test_junit_has_a_case_for_each_thing_that_was_looked_at(tmp_path: Path) -> None:
    """An error is a failure with its file and line, a warning stands in the output, and what was skipped says why."""
    found = read(junit("diff", CASES), tmp_path)
    assert (found.tests, found.failures, found.skipped) == (4, 1, 1)
    kie, oxen = found
    assert (kie.name, oxen.name, kie.time) == ("kie", "oxen", 1.5)
    states, prices, callbacks = kie
    (failure,) = states.result
    assert isinstance(failure, Failure)
    assert (failure.message, failure.type) == ("the state is gone", "state-removed")
    assert failure.text.startswith("contracts/a b/openapi.yaml:7: the state is gone\n  do: look")
    assert "it costs more" in states.system_out
    assert (prices.result, "it costs more" in prices.system_out) == ([], True)
    assert isinstance(callbacks.result[0], Skipped)
    assert callbacks.classname == "diff.kie"


def test_github_shows_what_was_found_beside_its_line() -> None:
    """Each finding is a workflow command; what has a meaning in one is escaped."""
    assert github("diff", CASES[:1]).splitlines() == [
        "::error file=contracts/a b/openapi.yaml,line=7,title=understudy diff%3A state-removed::"
        "the state is gone%0A  do: look",
        "::warning title=understudy diff%3A price-raised::it costs more: 4%25, not 3%25",
    ]


def test_sarif_has_each_rule_once_and_each_finding_in_its_place() -> None:
    """Results refer to the rules, and say where they are."""
    text = sarif("diff", CASES)
    (told,) = json.loads(text)["runs"]
    assert len(Sarif.model_validate_json(text).runs[0].results) == 3
    assert [rule["id"] for rule in told["tool"]["driver"]["rules"]] == ["state-removed", "price-raised"]
    first, second, third = told["results"]
    assert (first["ruleIndex"], second["ruleIndex"], third["level"]) == (0, 1, "warning")
    place = first["locations"][0]["physicalLocation"]
    assert (place["artifactLocation"]["uri"], place["region"]) == ("contracts/a b/openapi.yaml", {"startLine": 7})
    assert second["locations"] == [{"logicalLocations": [{"fullyQualifiedName": "kie/states"}]}]


@given(cases)
def test_whatever_was_found_can_be_told(tmp_path_factory: pytest.TempPathFactory, found: list[Case]) -> None:
    """Any text, in any place, comes out as valid JUnit XML, and as one line of a workflow command each."""
    read_back = read(junit("check", found), tmp_path_factory.getbasetemp())
    assert sum(len(list(suite)) for suite in read_back) == len(found)
    *lines, rest = github("check", found).split("\n")
    assert (len(lines), rest) == (sum(len(case.findings) for case in found), "")
    assert json.loads(sarif("check", found))["version"] == "2.1.0"


@pytest.mark.parametrize("format", WRITERS)
def test_check_tells_it_to_ci(
    format: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`check` has each file of a provider as a case, with its notes, and a wrong line as an error."""
    monkeypatch.chdir(tmp_path)
    contract = tmp_path / "contracts/mine"
    contract.mkdir(parents=True)
    (contract / "openapi.yaml").write_text("openapi: 3.1.0\ninfo: {title: Mine, version: '1'}\npaths: {}\n")
    assert run(["mine"], format=format) == 1
    assert 'lacks "x-jobs"' in capsys.readouterr().out.replace("&quot;", '"').replace("\\", "")
    assert run(["kie"], format=format) == 0
    assert capsys.readouterr().out


def test_the_files_of_a_provider_are_its_cases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One that is fine passes; there is a case for every file."""
    run(["kie"], format="junit")
    (suite,) = read(capsys.readouterr().out, tmp_path)
    assert suite.failures == 0
    assert {Path(case.name).name for case in suite} >= {"openapi.yaml", "behaviour.yaml"}
    assert len(list(suite)) == len(check_provider(find_provider("kie")).files)


def test_the_command_line_knows_the_formats() -> None:
    """It names them without importing what writes them."""
    assert cli._FORMATS == FORMATS
