"""The wheel stands on its own: contracts and fakes travel inside it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.unmeasured

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return next(folder.glob("*.whl"))


def test_contracts_and_fakes_are_in_the_wheel(wheel: Path) -> None:
    """Every file under contracts/ and fakes/ is in the wheel, and so is py.typed."""
    inside = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        f"understudy/_bundled/{path.relative_to(ROOT).as_posix()}"
        for top in ("contracts", "fakes")
        for path in (ROOT / top).rglob("*.yaml")
    }

    assert expected
    assert expected <= inside
    assert "understudy/py.typed" in inside


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that has the wheel, and the libraries of this one."""
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--system-site-packages", str(environment)], check=True)
    python = environment / "bin" / "python"
    subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)],
        check=True,
        capture_output=True,
    )
    # the libraries are those of this environment; the package itself is the wheel's
    Path(site_of(python), "libraries.pth").write_text(f"{site_of(sys.executable)}\n", encoding="utf-8")
    return environment / "bin"


def site_of(python: str | Path) -> str:
    """Return where an interpreter has its libraries."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_the_demo_runs_from_the_wheel_in_another_folder(installed: Path, tmp_path: Path) -> None:
    """Installed in an empty environment, `understudy demo` works from a folder that has nothing in it."""
    ran = subprocess.run(
        [str(installed / "understudy"), "demo"], capture_output=True, text=True, cwd=tmp_path, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    assert "says succeeded of job" in ran.stdout
    assert list(tmp_path.rglob("*.png"))

    code = "import understudy; print(understudy.__file__)"
    where = subprocess.run([str(installed / "python"), "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert str(installed.parent) in where.stdout


def test_the_workflow_of_the_documents_runs(installed: Path, tmp_path: Path) -> None:
    """Each command of the documented workflow runs from the wheel, in a folder with what the page says is in it."""
    for program in ("git", "curl", "bash"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    workflow, code = (re.findall(rf"^```{language}\n(.*?)^```$", page, re.M | re.S)[0] for language in ("yaml", "py"))
    (tmp_path / "test_stickers.py").write_text(code, encoding="utf-8")
    identity = "git -c user.name=a -c user.email=a@example.com"
    before = f"understudy new stickers && git init -q && git add -A && {identity} commit -qm one"
    after = f"{identity} commit -q --allow-empty -m two"
    (job,) = yaml.safe_load(workflow)["jobs"].values()
    commands = [step["run"] for step in job["steps"] if not step.get("run", "pip install").startswith("pip install")]
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST", "UNDERSTUDY"))
    }
    environment = {**inherited, "PATH": f"{installed}{os.pathsep}{os.environ['PATH']}", "STICKERS_KEY": "a-key"}
    assert len(commands) == 7
    for command in (before, after, *commands):
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command.replace("pytest", "python -m pytest")],
            capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=120,
        )  # fmt: skip
        assert ran.returncode == 0, f"{command}\n{ran.stdout}{ran.stderr}"
    assert {path.name for path in tmp_path.glob("*.*ml")} == {"coverage.html", "coverage.xml", "verify.xml"}
