"""What the documents show is run: Python, shell, and every piece of YAML."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import understudy
from understudy.contract.build import load_contract

pytestmark = pytest.mark.unmeasured

ROOT = Path(__file__).parents[1]
# The page on testing clients shows one that fails; tests/test_testing.py runs it.
DOCUMENTS = [ROOT / "README.md", *sorted(path for path in (ROOT / "docs").glob("*.md") if path.name != "testing.md")]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[Any]:
    """Return the fenced blocks of a language in all documents, as parameters named after their place."""
    found = []
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        matches = list(FENCE.finditer(text))
        for index, match in enumerate(matches):
            if match[1] == language and "from test_" not in match[2]:  # tests/test_testing.py runs those
                after = matches[index + 1] if index + 1 < len(matches) else None
                adjacent = after is not None and after[1] == "" and text[match.end() : after.start()].strip() == ""
                line = text.count("\n", 0, match.start()) + 1
                output = after[2] if after is not None and adjacent else None
                found.append(pytest.param(match[2], output, id=f"{document.name}:{line}"))
    return found


TESTS = [block for block in blocks("python") if re.search(r"def test_|\(ClientSuite\)", block.values[0])]
PROGRAMS = [block for block in blocks("python") if block not in TESTS]


def test_tests_in_the_documents_pass(tmp_path: Path) -> None:
    """Every Python block that is a test passes, as a file of its own."""
    for block in TESTS:
        name = re.sub(r"\W", "_", str(block.id))
        (tmp_path / f"test_{name}.py").write_text(block.values[0], encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout


@pytest.mark.parametrize(("code", "output"), PROGRAMS)
def test_python_in_the_documents_runs(code: str, output: str | None, tmp_path: Path, monkeypatch: Any) -> None:
    """A Python block runs, and prints what stands below it."""
    monkeypatch.chdir(tmp_path)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "block", "exec"), {"__name__": "block"})

    assert output is None or printed.getvalue() == output


@pytest.mark.parametrize(("code", "output"), blocks("bash"))
def test_shell_in_the_documents_runs(code: str, output: str | None, tmp_path: Path) -> None:
    """A shell block runs against a live server, without an error."""
    for program in ("bash", "curl", "jq"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    with understudy.serve(speed=100) as server:
        here = code.replace("http://127.0.0.1:4010", server.url)
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", here], capture_output=True, text=True, cwd=tmp_path, timeout=60
        )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "null" not in ran.stderr


FORMAT = (ROOT / "docs" / "contract-format.md").read_text(encoding="utf-8")
SKETCHES = dict(re.findall(r"^### ([^\n:]+): [^\n]*\n.*?^```yaml\n(.*?)^```$", FORMAT, re.MULTILINE | re.DOTALL))
PLACES = re.compile(r"\$request\.path\.(\w+)")


@pytest.mark.parametrize("name", SKETCHES)
def test_the_other_apis_fit_the_format(name: str, tmp_path: Path) -> None:
    """Each sketch of a further API is a contract that loads, with nothing added but the operations that it names."""
    sketch = SKETCHES[name]
    job = yaml.safe_load(sketch)
    names = [operation for group in job["create"] for operation in group["operations"]]
    names += [job[part]["operation"] for part in ("status", "cancel", "list") if part in job]
    parameters = [
        {"name": place, "in": "path", "required": True, "schema": {"type": "string"}}
        for place in dict.fromkeys(PLACES.findall(sketch))
    ]
    path = "".join(f"/{{{parameter['name']}}}" for parameter in parameters)
    paths = {
        f"/{index}{path}": {"post": {"operationId": operation, "parameters": parameters, "responses": {}}}
        for index, operation in enumerate(names)
    }
    document = {"openapi": "3.1.0", "info": {"title": name, "version": "1"}, "paths": paths}
    folder = tmp_path / "contracts" / "sketch"
    folder.mkdir(parents=True)
    indented = "".join(f"    {line}\n" for line in sketch.splitlines())
    text = f"{yaml.safe_dump(document)}x-jobs:\n  job:\n{indented}"
    (folder / "openapi.yaml").write_text(text, encoding="utf-8")

    assert load_contract(folder).job_type.name == "job"


def test_the_format_has_the_four_sketches() -> None:
    """The four further APIs that the format was held against are there."""
    assert len(SKETCHES) == 4


PIECES: list[str] = re.findall(r"^```yaml\n(.*?)^```$", FORMAT, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("piece", PIECES, ids=range(len(PIECES)))
def test_yaml_in_the_format_document_is_yaml(piece: str) -> None:
    """Each piece of YAML can be read."""
    lines = [line for line in piece.splitlines() if not line.startswith("when:")]

    assert yaml.safe_load("\n".join(lines)) is not None


def test_the_whole_example_of_another_manner_is_a_contract() -> None:
    """It is that of a small contract which other tests play."""
    text = (ROOT / "docs" / "other-manners.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    contract = load_contract(ROOT / "tests" / "apis" / "contracts" / "longrunning")
    job = contract.document.data["x-jobs"]["operation"]
    parts = yaml.safe_load(shown)
    assert parts == {key: job[key] for key in parts}
