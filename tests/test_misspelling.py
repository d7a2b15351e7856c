"""A slip of the finger in any file of a provider is named with file, line and the word that was meant.

What is a key of the format is decided by the closed schemas alone: what one of them lists is one, a name that a
provider is free to choose is none. Each such key of each bundled file is misspelt in turn.
"""

from __future__ import annotations

import re
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from understudy import consistency
from understudy.check import check_provider, run
from understudy.contract.closed import _schema, check_closed
from understudy.contract.loader import Document, load
from understudy.contract.templates import SPECIAL
from understudy.errors import Problem
from understudy.folders import Folders, bundled_root

pytestmark = pytest.mark.unmeasured

ROOT = bundled_root()
FILES = sorted(path for kind in ("contracts", "fakes") for path in (ROOT / kind).rglob("*.yaml"))

Place = tuple[tuple[str | int, ...], str]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def kinds_of(path: Path) -> list[tuple[str, tuple[str, ...]]]:
    """Return the schemas that a file is held to, and where in it each begins."""
    if path.stem == "openapi":
        return [("openapi", ()), ("x-jobs", ("x-jobs",))]
    return [({"recordings": "recording", "scenarios": "scenario"}.get(path.parent.name, "behaviour"), ())]


def keys_of(root: Any, schema: Any, value: Any, at: tuple[str | int, ...]) -> Iterator[Place]:
    """Yield each key in a value that a schema lists, with where the object stands that has it."""
    if not isinstance(schema, dict):
        return
    if "$ref" in schema:
        target = root
        for part in schema["$ref"].split("/")[1:]:
            target = target[part]
        yield from keys_of(root, target, value, at)
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from keys_of(root, schema.get("items"), item, (*at, index))
    for key, item in value.items() if isinstance(value, dict) else ():
        listed = schema.get("properties", {})
        by_pattern = [inner for text, inner in schema.get("patternProperties", {}).items() if re.search(text, key)]
        if key in listed:
            yield at, key
        for inner in [listed[key]] if key in listed else by_pattern or [schema.get("additionalProperties")]:
            yield from keys_of(root, inner, item, (*at, key))


def misspelt(key: str, taken: Any) -> str:
    """Return a key with a letter dropped or two swapped; which, differs from key to key but not from run to run."""
    dropped = [key[:at] + key[at + 1 :] for at in range(1, len(key))]
    swapped = [key[:at] + key[at + 1] + key[at] + key[at + 2 :] for at in range(len(key) - 1)]
    options = [word for word in (*dropped, *swapped) if word not in taken and word != key]
    return options[zlib.crc32(repr((key, sorted(taken))).encode()) % len(options)]


def node_at(document: Document, at: tuple[str | int, ...]) -> Any:
    node = document.data
    for part in at:
        node = node[part]
    return node


def renamed(document: Document, node: dict[str, Any], old: str, new: str) -> None:
    """Rename a key in place, as if the line of the file had another word, so that aliases stay aliases."""
    items = list(node.items())
    node.clear()
    node.update((new if key == old else key, value) for key, value in items)
    lines = document._lines[id(node)]
    lines[new] = lines.pop(old)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_misspelt_key_is_named(path: Path):
    """Whichever key of the format is misspelt, one problem names its file and line and the key that was meant."""
    document = load(path)
    silent, seen = [], set()
    for kind, begin in kinds_of(path):
        schema, _ = _schema(kind)
        for at, key in list(keys_of(schema, schema, node_at(document, begin), begin)):
            node = node_at(document, at)
            if (id(node), key) in seen:  # an alias of what was misspelt before
                continue
            seen.add((id(node), key))
            where = document.where((*at, key))
            slip = misspelt(key, {*node, "error", "example"})  # these two are keys themselves, one letter away
            renamed(document, node, key, slip)
            document.problems.clear()
            check_closed(document, kind, begin)
            meant = Problem(*where, f'unknown key "{slip}"; did you mean "{key}"?')
            if meant not in document.problems:  # an extension beside names that are free to choose
                consistency.check_extensions(document)
            if meant not in document.problems:
                silent.append(f"{where[0]}:{where[1]}: {slip} for {key}: {[str(one) for one in document.problems]}")
            renamed(document, node, slip, key)
    assert seen, "a file without a key of the format"
    assert not silent, "\n".join(silent)


# --- from end to end ------------------------------------------------------------------------------------------------


def copied(folder: Path, provider: str, file: str) -> Folders:
    """Copy a bundled provider, so that a test can spoil a file; of its recordings, that file alone."""
    for path in FILES:
        name = path.relative_to(ROOT)
        many = path.parent.name == "recordings"
        if name.parts[1] == provider and (not many or name == Path(file)):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / name)
    return Folders(folder / "contracts" / provider, folder / "fakes" / provider)


def spoilt(path: Path, old: str, new: str) -> int:
    """Replace the first occurrence of a text in a file; return its line."""
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{path.name} has no {old!r}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return text[: text.index(old)].count("\n") + 1


@pytest.mark.parametrize(
    ("file", "old", "new", "meant"),
    [
        ("contracts/kie/openapi.yaml", "operationId:", "opertionId:", "operationId"),
        ("contracts/kie/openapi.yaml", "callbackUrl:", "calbackUrl:", "callbackUrl"),
        ("contracts/kie/openapi.yaml", "x-jobs:", "x-josb:", "x-jobs"),
        ("contracts/kie/openapi.yaml", "    status:\n", "    stats:\n", "status"),  # and not "states", which is there
        ("contracts/kie/recordings/credit.yaml", "elided:", "eluded:", "elided"),
        ("fakes/kie/behaviour.yaml", "latencySeconds:", "latencySecond:", "latencySeconds"),
        ("fakes/kie/scenarios/slow.yaml", "description:", "desciption:", "description"),
    ],
)
def test_a_misspelt_key_is_named_by_the_command(
    file: str, old: str, new: str, meant: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """`understudy check` prints file, line and the key that was meant, whatever file it is in, and exits with 1."""
    folders = copied(tmp_path, "kie", file)
    line = spoilt(tmp_path / file, old, new)
    assert run([str(folders.contract)], format="text") == 1
    told = capsys.readouterr().out.splitlines()
    key = new.strip(" :\n")
    assert f'{tmp_path / file}:{line}: unknown key "{key}"; did you mean "{meant}"?' in told


def test_a_misspelt_key_that_is_another_key_is_wrong_all_the_same(tmp_path: Path):
    """The two keys that are one letter away from another key are refused for what stands under them."""
    folders = copied(tmp_path, "kie", "fakes/kie/scenarios/errors-as-http.yaml")
    lines = {
        spoilt(folders.fake / "scenarios" / "errors-as-http.yaml", "errors:", "error:"),
        spoilt(folders.contract / "openapi.yaml", "examples:", "example:"),
    }
    assert {problem.line for problem in check_provider(folders).problems} == lines


NAMES = [
    # a word of a template
    ("contracts/oxen/openapi.yaml", "{$each: $jobs,", "{$eahc: $jobs,", 'did you mean "$each"?'),
    ("contracts/oxen/openapi.yaml", "$spread: $job", "$sprad: $job", 'did you mean "$spread"?'),
    ("contracts/oxen/openapi.yaml", "generation_id: $job.id", "generation_id: $job.ids", 'did you mean "id"?'),
    ("contracts/oxen/openapi.yaml", "$job.createdAt|epoch}", "$job.createdAt|epohc}", 'did you mean "epoch"?'),
    ("contracts/kie/openapi.yaml", "- $json:", "- $jsno:", 'did you mean "$json"?'),
    ("contracts/kie/openapi.yaml", "$either:", "$ether:", 'did you mean "$either"?'),
    ("contracts/kie/openapi.yaml", "code: {$match: 400}", "code: {$macth: 400}", 'did you mean "$match"?'),
    # a free name that another part of the contract knows
    ("contracts/kie/openapi.yaml", "required: [prompt]", "required: [promt]", 'did you mean "prompt"?'),
    ("contracts/kie/openapi.yaml", "- operations: [createTask]", "- operations: [creatTask]", '"createTask"?'),
    ("contracts/kie/openapi.yaml", "operation: recordInfo", "operation: recrodInfo", 'did you mean "recordInfo"?'),
    ("contracts/kie/openapi.yaml", "- bearer: []", "- baerer: []", 'did you mean "bearer"?'),
    ("contracts/kie/openapi.yaml", "schemas/CreateTask'}", "schemas/CretaeTask'}", 'did you mean "CreateTask"?'),
    ("contracts/kie/openapi.yaml", "schemas/Imagen4'\n          byte", "schemas/Imgen4'\n          byte", '"Imagen4"?'),
    ("contracts/kie/openapi.yaml", "nano-banana-pro: '#", "nano-bnaana-pro: '#", 'did you mean "nano-banana-pro"?'),
    ("contracts/kie/openapi.yaml", "propertyName: model", "propertyName: modle", 'did you mean "model"?'),
    ("contracts/kie/openapi.yaml", "[succeeded, failed]", "[succeeded, faild]", 'did you mean "failed"?'),
    ("contracts/kie/openapi.yaml", "error: notFound", "error: notFond", 'did you mean "notFound"?'),
    ("contracts/kie/openapi.yaml", "$request.query.taskId", "$request.query.taskid", 'did you mean "taskId"?'),
    ("contracts/kie/openapi.yaml", "$request.body#/callBackUrl\n", "$request.body#/calBackUrl\n", '"callBackUrl"?'),
    ("contracts/kie/openapi.yaml", '"nano-banana-pro" && $job', '"nano-banan-pro" && $job', '"nano-banana-pro"?'),
    ("contracts/kie/openapi.yaml", '$job.input#/resolution == "4K"', '$job.input#/resoluton == "4K"', '"resolution"?'),
    ("contracts/oxen/openapi.yaml", '$job.state == "succeeded" &&', '$job.state == "succeded" &&', '"succeeded"?'),
    ("contracts/oxen/openapi.yaml", "$job.request#/target_name", "$job.request#/traget_name", '"target_namespace"?'),
    (
        "contracts/kie/recordings/credit.yaml",
        "operation: getCredit",
        "operation: getCerdit",
        'did you mean "getCredit"?',
    ),
    ("contracts/kie/recordings/credit.yaml", "response/body/data", "response/body/dat", 'did you mean "data"?'),
    ("contracts/kie/recordings/failed-task.yaml", "content-policy", "content-polcy", 'did you mean "content-policy"?'),
    ("contracts/kie/recordings/upload-errors.yaml", "errors-as-http", "error-as-http", '"errors-as-http"?'),
    ("fakes/kie/behaviour.yaml", "status: queuing", "status: queing", 'did you mean "queuing"?'),
    ("fakes/kie/behaviour.yaml", "$job.input#/prompt", "$job.input#/promt", 'did you mean "prompt"?'),
    ("fakes/oxen/behaviour.yaml", "state: running", "state: runing", 'did you mean "running"?'),
    (
        "fakes/kie/scenarios/content-policy.yaml",
        "failure: content-policy",
        "failure: content-polic",
        '"content-policy"?',
    ),
    ("fakes/kie/scenarios/maintenance.yaml", "error: maintenance", "error: maintenence", 'did you mean "maintenance"?'),
    ("fakes/kie/scenarios/errors-as-http.yaml", "errors: http", "errors: htp", 'did you mean "http"?'),
]


@pytest.mark.parametrize(("file", "old", "new", "hint"), NAMES, ids=[f"{row[0]}-{row[2][:30]}" for row in NAMES])
def test_a_misspelt_name_is_named_where_the_contract_knows_better(
    file: str, old: str, new: str, hint: str, tmp_path: Path
):
    """A name that leads to nothing is a problem at its line, and the problem says what is nearest."""
    folders = copied(tmp_path, Path(file).parts[1], file)
    line = spoilt(tmp_path / file, old, new)
    told = [problem for problem in check_provider(folders).problems if problem.file == str(tmp_path / file)]
    assert any(problem.line == line and hint in problem.text for problem in told), "\n".join(map(str, told))


def test_each_word_of_a_template_is_misspelt_above():
    """The examples leave out no key of a template."""
    assert {key for key in SPECIAL if any(key in old for _, old, _, _ in NAMES)} == set(SPECIAL)
