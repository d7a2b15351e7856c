"""Tests of `understudy new`: what it writes is fine, runs, and hides or overwrites nothing."""

from __future__ import annotations

import keyword
import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import understudy
from tests.live import key, served
from understudy.check import check_provider
from understudy.cli import main
from understudy.errors import UsageError
from understudy.folders import find_provider, provider_names
from understudy.new import write_provider

ROOT = Path(__file__).parents[1]

#: Names that a provider can have, and that are nobody's yet.
NAMES = st.from_regex(re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", re.ASCII), fullmatch=True).filter(
    lambda name: len(name) <= 40 and name not in provider_names() and not keyword.iskeyword(name)
)

FILES = (
    "contracts/acme/openapi.yaml",
    "contracts/acme/recordings/first-job.yaml",
    "fakes/acme/behaviour.yaml",
    "fakes/acme/scenarios/refused-content.yaml",
)


def client_of(fake: understudy.Fake) -> understudy.Client:
    """Return the reference client of a fake."""
    return understudy.Client(fake.contract, api_key="key", http=fake.client(), clock=fake.clock)


# --- what it writes -------------------------------------------------------------------------------------------------


@settings(max_examples=8)
@example("null")
@example("e1")
@example("a-0-b")
@example("n" * 40)
@given(NAMES)
def test_what_is_written_is_fine_and_runs(name: str) -> None:
    """By any valid name the pair passes `check` without a note on an error, and a job of it runs to success."""
    with tempfile.TemporaryDirectory() as folder:
        written = write_provider(name, Path(folder))
        report = check_provider(find_provider(name, [Path(folder)]))
        fake = understudy.Fake(name, paths=[Path(folder)])
        job = client_of(fake).run({"prompt": "a lighthouse", "count": 2})

        assert all(path.is_file() for path in written)
        assert report.problems == []
        assert [note.text.split()[0] for note in report.notes] == ["status.reply"]
        assert (report.reproduced, len(report.guesses)) == (1, 2)
        assert (job.state, len(job.outputs)) == ("succeeded", 2)
        assert fake.ledger_of("key").spent == 0.08


def test_it_says_what_it_wrote(tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Each file is named, and what comes next; the provider is found from the folder."""
    monkeypatch.chdir(tmp_path)
    assert main(["new", "acme"]) == 0
    *files, following = capsys.readouterr().out.splitlines()
    assert tuple(files) == FILES
    assert following == "Next: `understudy check acme`, and `understudy serve acme`."
    assert main(["check", "acme"]) == 0
    assert main(["new", "other", "--folder", "a b"]) == 0
    assert "Next: `cd 'a b'; understudy check other`" in capsys.readouterr().out
    assert Path("a b", "fakes", "other", "behaviour.yaml").is_file()


def test_the_template_names_each_concept(tmp_path: Path) -> None:
    """Every part of a contract that a newcomer needs is there with a comment, and no placeholder is left."""
    contract, *others = (path.read_text(encoding="utf-8") for path in write_provider("acme", tmp_path))
    for text in (contract, *others):
        assert "{{" not in text
        assert text.startswith("#")
    commented = re.findall(r"^    ([a-z-]+):", contract[contract.index("x-jobs:") :], re.MULTILINE | re.IGNORECASE)
    assert set(commented) >= {
        *("x-evidence", "id", "states", "create", "status", "cancel", "callback", "outputs", "assets", "errors"),
        *("failures", "prices", "limits"),
    }
    assert "{$match: " in contract
    assert "# successCriteria: " in contract


def test_the_story_is_played(tmp_path: Path) -> None:
    """The scenario fails a job and pays it back; a cancel, and a wrong key, are answered as the contract says."""
    write_provider("acme", tmp_path)
    fake = understudy.Fake("acme", paths=[tmp_path], scenario="refused-content")
    client = client_of(fake)
    with pytest.raises(understudy.JobFailed, match="The prompt is against the rules"):
        client.run({"prompt": "a forbidden lighthouse"})
    assert fake.ledger_of("key").spent == 0
    assert client.cancel(client.submit({"prompt": "a lighthouse"})).state == "cancelled"
    with pytest.raises(understudy.Refused, match="This key is not known"):
        understudy.Client(fake.contract, api_key="invalid", http=fake.client(), clock=fake.clock).submit(
            {"prompt": "a"}
        )


def test_the_callback_is_signed(tmp_path: Path) -> None:
    """What is sent back is signed with the secret of the behaviour file."""
    write_provider("acme", tmp_path)
    with understudy.Fake("acme", paths=[tmp_path]) as fake, understudy.Receiver() as receiver:
        client = client_of(fake)
        job = client.submit({"prompt": "a lighthouse"}, callback_url=receiver.url)
        fake.clock.sleep(60)
        (callback,) = receiver.received
        assert client.read_callback(callback.headers, callback.body, secret="acme-secret").id == job.id
        with pytest.raises(understudy.SignatureInvalid):
            client.read_callback(callback.headers, callback.body, secret="another")


def test_it_is_served(tmp_path: Path) -> None:
    """`understudy serve` plays it live."""
    write_provider("acme", tmp_path)
    with served("acme", "--speed", "100", cwd=tmp_path) as server:
        reply = httpx.post(f"{server.url}/acme/v1/jobs", json={"prompt": "a lighthouse"}, headers=key())
    assert reply.status_code == 202
    assert reply.json()["status"] == "waiting"


# --- what it does not do --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("taken", ["contracts/acme", "fakes/acme"])
def test_nothing_is_overwritten(taken: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder of that name, even an empty one or a link that leads nowhere, is left alone: exit code 2 and no file."""
    there = tmp_path / taken
    there.parent.mkdir()
    for make in (there.mkdir, lambda: there.symlink_to(tmp_path / "nowhere"), lambda: there.write_text("mine")):
        make()
        assert main(["new", "acme", "--folder", str(tmp_path)]) == 2
        assert f"{there} is there already, and is left as it is: choose another" in capsys.readouterr().err
        assert [path for path in tmp_path.rglob("*") if path not in (there, there.parent)] == []
        there.rmdir() if there.is_dir() else there.unlink()


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("Acme", "acme"),
        ("My  Provider!", "my-provider"),
        ("acme_prints", "acme-prints"),
        ("acme-", "acme"),
        ("a--b", "a-b"),
        ("9lives", "lives"),
        ("../acme", "acme"),
        ("acme\n", "acme"),
        ("n" * 41, "n" * 40),
        ("", "my-provider"),
        ("ünder", "nder"),
        ("٣", "my-provider"),
    ],
)
def test_a_name_that_cannot_be(name: str, near: str, tmp_path: Path) -> None:
    """A name that is no plain folder name is refused with the rule, and one that could be."""
    with pytest.raises(UsageError) as caught:
        write_provider(name, tmp_path)
    assert str(caught.value) == (
        f'"{name}" cannot name a provider: lower case, digits and single hyphens between them, a letter first,'
        f' 40 characters at most; try "{near}"'
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("kie", '"kie" comes with the package, and would be hidden by a new one: choose another name'),
        ("class", '"class" cannot name a provider: no test could have a fixture by it; try "my-class"'),
        ("request", '"request" cannot name a provider: no test could have a fixture by it; try "my-request"'),
    ],
)
def test_a_name_that_is_taken(name: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bundled provider is not hidden, nor a fixture of pytest: exit code 2."""
    assert main(["new", name, "--folder", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"{reason}\n"
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where one of the two folders cannot be made, the other is not there either."""
    (tmp_path / "fakes").write_text("no folder")
    assert main(["new", "acme", "--folder", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert f"{tmp_path / 'fakes'}" in told
    assert "cannot be written: " in told
    assert "choose another --folder" in told
    assert list((tmp_path / "contracts").iterdir()) == []


# --- the page -------------------------------------------------------------------------------------------------------

PAGE = (ROOT / "docs" / "add-a-provider.md").read_text(encoding="utf-8")
COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)\n((?:[^$].*\n)*)", re.MULTILINE)
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def put(block: str, folder: Path) -> None:
    """Put a block of YAML into the file that it names, in the place of what has the same keys there, or in `x-jobs`."""
    first, *lines = block.splitlines()
    path = folder / first.removeprefix("# ")
    indent = len(lines[0]) - len(lines[0].lstrip())
    keys = [found[1] for line in lines if (found := re.match(rf" {{{indent}}}([\w-]+):", line))]
    kept, at, dropping, here = list[str](), None, False, indent == 0
    for line in path.read_text(encoding="utf-8").splitlines():
        here = here or line == "x-jobs:"
        if here and re.match(rf" {{0,{indent}}}[^\s]", line):
            dropping = any(line.startswith(f"{' ' * indent}{key}:") for key in keys)
            at = len(kept) if dropping and at is None else at
        kept += [] if dropping else [line]
    assert at is not None, f"{path} has none of {keys}"
    path.write_text("\n".join([*kept[:at], *lines, *kept[at:], ""]), encoding="utf-8")


def test_the_page_leads_to_a_provider_that_runs(tmp_path: Path) -> None:
    """Each command and each piece of the page is carried out in order, and what is shown is what comes."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    assert {kind for kind, _ in BLOCKS} == {"yaml", "console", "py"}
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    def ran(command: list[str] | str) -> str:
        done = subprocess.run(
            command, shell=isinstance(command, str), capture_output=True, text=True, cwd=tmp_path, env=environment
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    checked = [sys.executable, "-m", "understudy", "check", "stickers"]
    with ExitStack() as stack:
        server = None
        for kind, block in BLOCKS:
            if kind == "yaml":
                put(block, tmp_path)
                told = subprocess.run(checked, capture_output=True, text=True, cwd=tmp_path, env=environment).stdout
                assert "not YAML" not in told, f"{told}\nafter\n{block}"  # it would hide all else that does not fit yet
            elif kind == "py":
                (tmp_path / "test_page.py").write_text(block, encoding="utf-8")
                ran([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"])
            for command, shown in COMMAND.findall(block if kind == "console" else ""):
                if command.startswith("understudy serve "):
                    server = stack.enter_context(served(*command.split()[2:], cwd=tmp_path))
                else:
                    here = command.replace("http://127.0.0.1:4010", server.url if server is not None else "")
                    assert ran(here).startswith(shown.rstrip())


def test_the_page_is_short() -> None:
    """It is no longer than what is read in a quarter of an hour, and no wider than a screen."""
    lines = PAGE.splitlines()
    assert len(lines) <= 230
    assert [line for line in lines if len(line) > 120] == []
