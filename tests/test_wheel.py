"""The wheel stands on its own: contracts and fakes travel inside it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

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


def test_the_demo_runs_from_the_wheel_in_another_folder(wheel: Path, tmp_path: Path) -> None:
    """Installed in an empty environment, `understudy demo` works from a folder that has nothing in it."""
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--system-site-packages", str(environment)], check=True)
    python = environment / "bin" / "python"
    # the libraries are those of this environment; the package itself is the wheel's
    libraries = subprocess.run(
        [sys.executable, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    site = subprocess.run(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)],
        check=True,
        capture_output=True,
    )
    Path(site, "libraries.pth").write_text(f"{libraries}\n", encoding="utf-8")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    ran = subprocess.run(
        [str(environment / "bin" / "understudy"), "demo"], capture_output=True, text=True, cwd=elsewhere, timeout=120
    )

    assert ran.returncode == 0, ran.stderr
    assert "says succeeded of job" in ran.stdout
    assert list(elsewhere.rglob("*.png"))

    where = subprocess.run(
        [str(python), "-c", "import understudy; print(understudy.__file__)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=elsewhere,
    ).stdout
    assert str(environment) in where
