"""The demo tells the whole story on one page, and leaves the files that it names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from understudy import UsageError, demo
from understudy.folders import provider_names


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The page of one demo, and the folder that it wrote to."""
    folder = tmp_path_factory.mktemp("demo")
    lines: list[str] = []
    patch = pytest.MonkeyPatch()
    patch.setattr("builtins.print", lambda *parts, **options: lines.append(" ".join(map(str, parts))))
    try:
        assert demo.run(folder / "pictures") == 0
    finally:
        patch.undo()
    return "\n".join(lines), folder / "pictures"


def test_every_provider_has_its_part(page: tuple[str, Path]) -> None:
    """Each provider's part has the create, the states, the end, the file and the money."""
    text, _ = page
    for name in provider_names():
        part = text.partition(f"\n{name} · ")[2].partition("\n\n")[0]

        assert "client    POST " in part
        assert re.search(r"^ +\d+\.\d s  provider +job \S+ is queued", part, re.MULTILINE)
        assert "is running" in part
        assert "is succeeded" in part
        assert re.search(r"(callback|event) +says succeeded of job", part)
        assert re.search(r"money +[\d.]+ \w+ spent", part)


def test_the_files_are_there(page: tuple[str, Path]) -> None:
    """Each file that the page names is a picture, as large as it says."""
    text, folder = page
    named = re.findall(r"result +(\S+) \(([\d,]+) bytes\)", text)

    assert len(named) == len(provider_names())
    for path, size in named:
        assert Path(path).parent == folder
        assert Path(path).stat().st_size == int(size.replace(",", ""))
        with Image.open(path) as picture:
            assert min(picture.size) >= 512


def test_the_page_is_one_page(page: tuple[str, Path]) -> None:
    """The page has no control characters, and few enough lines to be read at a glance."""
    text, _ = page

    assert not re.search(r"[\x00-\x09\x0b-\x1f]", text)
    assert len(text.splitlines()) <= 75


@pytest.mark.parametrize(
    ("called", "shown"),
    [(".venv/bin/understudy", ".venv/bin/understudy"), ("x/understudy/__main__.py", "python -m understudy")],
)
def test_the_hint_at_the_end_can_be_run_as_it_stands(
    called: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What comes next is called as the demo was."""
    monkeypatch.setattr("sys.argv", [called, "demo"])
    demo.run(tmp_path, providers=["kie"])

    assert f"Next: `{shown} serve`" in capsys.readouterr().out


def test_a_signature_is_said_to_be_right_only_where_there_is_one(page: tuple[str, Path]) -> None:
    """A provider that does not sign is not said to."""
    text, _ = page

    assert text.count("its signature is right") == 4  # one each of fal and kie, and two of replicate
    assert text.count("it is not signed") == 1


def test_a_model_that_the_path_names_is_the_one_of_its_example(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A create with the model in its path is shown with the model that the document gives as an example."""
    demo.run(tmp_path, providers=[str(Path(__file__).parent / "apis/contracts/twostep")])

    assert "client    POST /acme/photo/fast 200" in capsys.readouterr().out


def test_a_contract_without_an_example_cannot_be_shown(tmp_path: Path) -> None:
    """A provider whose create has no example request is named, with what to do."""
    folder = tmp_path / "contracts" / "plain"
    folder.mkdir(parents=True)
    (folder / "openapi.yaml").write_text(
        """
openapi: 3.1.0
info: {title: Plain, version: "1"}
servers: [{url: https://plain.test}]
paths: {/jobs: {post: {operationId: create, responses: {}}}}
x-jobs:
  job:
    id: "{uuid}"
    states: {queued: [q], succeeded: [s]}
    create: [{operations: [create], input: $request.body, reply: {body: {id: $job.id}}}]
""",
        encoding="utf-8",
    )

    with pytest.raises(UsageError, match="plain has no example request"):
        demo.run(tmp_path / "out", providers=[str(folder)])


@pytest.mark.parametrize("taken", [".", "shortapi.png"])
def test_what_cannot_be_written_is_named(taken: str, tmp_path: Path) -> None:
    """Where the folder cannot be made, or the picture in it not be written, that is said in one line."""
    place = tmp_path / "out" / taken
    if taken == ".":
        place.write_text("no folder", encoding="utf-8")
    else:
        place.mkdir(parents=True)

    with pytest.raises(UsageError, match=rf"^{re.escape(str(place))} cannot be written: .*; choose another --folder$"):
        demo.run(tmp_path / "out", providers=["shortapi"])
