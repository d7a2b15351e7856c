"""Find the two versions that are compared: folders, files, providers by name, or revisions of git."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from understudy.contract.build import load_contract
from understudy.contract.model import Contract
from understudy.errors import UsageError
from understudy.folders import find_provider

#: How long git may take, in seconds.
GIT_SECONDS = 60

# By what git says to whether a repository is shallow; where there is none it says nothing.
_WHY_NOT = {
    "true": "this clone is shallow, and `git fetch --unshallow` gets the rest of its history",
    "false": "`git log --all` has those that there are",
}


@contextmanager
def contract_at(name: str, other: str) -> Iterator[Contract]:
    """Load a version of a contract.

    Args:
        name: A folder, a document in one, the name of a provider, `REVISION:PATH`, or a revision of what `other` names.
        other: The other version.

    Raises:
        UsageError: There is no such thing.
        ContractInvalid: It cannot be used.
    """
    path = Path(name)
    revision, colon, inside = name.partition(":")
    if path.is_dir() or path.is_file():
        yield load_contract(path if path.is_dir() else path.parent)
    elif colon and inside:
        with _checked_out(revision, Path(inside)) as folder:
            yield load_contract(folder)
    elif _is_revision(name):
        with _checked_out(name, _folder_of(other)) as folder:
            yield load_contract(folder)
    else:
        try:
            folders = find_provider(name)
        except UsageError as error:
            raise UsageError(f"{error}\n  {_no_revision(name)}") from None
        yield load_contract(folders.contract)


def _folder_of(other: str) -> Path:
    path = Path(other.partition(":")[2] if ":" in other and not Path(other).exists() else other)
    return find_provider(other).contract if not path.exists() and ":" not in other else path


def _git(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    try:
        command = ["git", *arguments]  # found on the PATH of whoever asks
        return subprocess.run(command, cwd=folder, capture_output=True, timeout=GIT_SECONDS)  # noqa: S603 # as above
    except FileNotFoundError:
        raise UsageError("git is not installed, and a revision is its word for a version") from None


def _is_revision(name: str) -> bool:
    return not name.startswith("-") and _git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").returncode == 0


def _no_revision(name: str) -> str:
    """Return that there is no such revision, and why that may be."""
    shallow = _git("rev-parse", "--is-shallow-repository").stdout.decode().strip()
    return f'There is no git revision "{name}": {_WHY_NOT.get(shallow, "this is no git repository")}'


@contextmanager
def _checked_out(revision: str, path: Path) -> Iterator[Path]:
    """Write a folder of a revision to a place of its own."""
    if not _is_revision(revision):
        raise UsageError(_no_revision(revision))
    top = Path(_git("rev-parse", "--show-toplevel").stdout.decode().strip())
    inside = path.resolve().relative_to(top) if path.resolve().is_relative_to(top) else path
    folder = inside.parent if inside.suffix in (".yaml", ".yml", ".json") else inside
    archive = _git("archive", "--format=tar", revision, "--", str(folder), folder=top)
    if archive.returncode:
        text = archive.stderr.decode("utf-8", "replace").strip().removeprefix("fatal: ")
        raise UsageError(f'there is no "{folder}" in the revision "{revision}": {text}')
    with TemporaryDirectory(prefix="understudy-") as temporary:
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
            files.extractall(temporary, filter="data")
        yield Path(temporary) / folder
