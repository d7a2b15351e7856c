"""What commands find out, for other programs: JUnit XML, annotations of GitHub Actions, SARIF 2.1.0."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple
from xml.etree import ElementTree

from understudy import __version__

Level = Literal["error", "warning", "note"]


class Finding(NamedTuple):
    """One thing that was found.

    Attributes:
        rule: What kind of thing it is, in kebab case, such as `state-removed`.
        level: How bad it is: an `error` fails the run.
        text: What was found, in one or more lines.
        file: Where it stands, as the user would name it.
        line: Counted from 1.
    """

    rule: str
    level: Level
    text: str
    file: str | None = None
    line: int | None = None


class Case(NamedTuple):
    """One thing that was looked at, with what was found there.

    Attributes:
        suite: What it is part of, such as the provider.
        name: What was looked at.
        findings: What was found; nothing where all is well.
        skipped: Why it was not looked at.
        seconds: How long it took.
    """

    suite: str
    name: str
    findings: tuple[Finding, ...] = ()
    skipped: str | None = None
    seconds: float = 0.0

    @property
    def failed(self) -> bool:
        """Whether an error was found."""
        return any(finding.level == "error" for finding in self.findings)


def junit(command: str, cases: Sequence[Case]) -> str:
    """Return cases as JUnit XML: an error is a failure, all else stands in the output of its case."""
    root = ElementTree.Element("testsuites", name=f"understudy {command}")
    for suite in dict.fromkeys(case.suite for case in cases):
        own = [case for case in cases if case.suite == suite]
        node = _element(root, "testsuite", name=suite, **_counts(own))
        for case in own:
            seconds = f"{case.seconds:.3f}"
            entry = _element(node, "testcase", classname=f"{command}.{suite}", name=case.name, time=seconds)
            if case.skipped is not None:
                _element(entry, "skipped", message=case.skipped)
            errors = [finding for finding in case.findings if finding.level == "error"]
            others = [finding for finding in case.findings if finding.level != "error"]
            if errors:
                first, rules = errors[0].text.partition("\n")[0], ", ".join(dict.fromkeys(one.rule for one in errors))
                _element(entry, "failure", "\n\n".join(map(_located, errors)), message=first, type=rules)
            if others:
                _element(entry, "system-out", "\n\n".join(f"{one.level}: {_located(one)}" for one in others))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _counts(cases: Sequence[Case]) -> dict[str, str]:
    return {
        "tests": str(len(cases)),
        "failures": str(sum(case.failed for case in cases)),
        "errors": "0",
        "skipped": str(sum(case.skipped is not None for case in cases)),
        "time": f"{sum(case.seconds for case in cases):.3f}",
    }


# What XML 1.0 cannot hold, escaped or not.
_NOT_IN_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _element(parent: ElementTree.Element, tag: str, text: str | None = None, **attributes: str) -> ElementTree.Element:
    safe = {key: _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", value) for key, value in attributes.items()}
    element = ElementTree.SubElement(parent, tag, safe)
    element.text = text and _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)
    return element


def _located(finding: Finding) -> str:
    return finding.text if finding.file is None else f"{finding.file}:{finding.line or 1}: {finding.text}"


def github(command: str, cases: Sequence[Case]) -> str:
    """Return what was found as workflow commands, which GitHub Actions shows beside the lines of a change."""
    names = {"error": "error", "warning": "warning", "note": "notice"}
    lines = []
    for case in cases:
        for finding in case.findings:
            place = {"title": f"understudy {command}: {finding.rule}"}
            if finding.file is not None:
                place = {"file": finding.file, "line": str(finding.line or 1), **place}
            where = ",".join(f"{key}={_escaped(value, _IN_PROPERTY)}" for key, value in place.items())
            lines.append(f"::{names[finding.level]} {where}::{_escaped(finding.text, _IN_MESSAGE)}\n")
    return "".join(lines)


# As actions/toolkit writes them.
_IN_MESSAGE = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_IN_PROPERTY = {**_IN_MESSAGE, ":": "%3A", ",": "%2C"}


def _escaped(text: str, characters: Mapping[str, str]) -> str:
    return "".join(characters.get(char, char) for char in text)


def sarif(command: str, cases: Sequence[Case]) -> str:
    """Return what was found as SARIF 2.1.0 (OASIS), which code scanning reads."""
    findings = [(case, finding) for case in cases for finding in case.findings]
    rules = list(dict.fromkeys(finding.rule for _, finding in findings))
    driver = {
        "name": f"understudy {command}",
        "version": __version__,
        "rules": [{"id": rule, "shortDescription": {"text": rule.replace("-", " ")}} for rule in rules],
    }
    results = [_result(case, finding, rules.index(finding.rule)) for case, finding in findings]
    log = {
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }
    return json.dumps(log, indent=2) + "\n"


def _result(case: Case, finding: Finding, index: int) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": finding.level,
        "message": {"text": finding.text},
    }
    location: dict[str, Any] = {"logicalLocations": [{"fullyQualifiedName": f"{case.suite}/{case.name}"}]}
    if finding.file is not None:
        location["physicalLocation"] = {
            "artifactLocation": {"uri": finding.file.replace("\\", "/")},
            "region": {"startLine": finding.line or 1},
        }
    return {**result, "locations": [location]}


#: How what was found can be told to other programs, by the name of the format.
WRITERS: Mapping[str, Callable[[str, Sequence[Case]], str]] = {"junit": junit, "github": github, "sarif": sarif}
