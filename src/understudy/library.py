"""Find the providers: the user's own `contracts/` and `fakes/` first, then those that come with the package."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from understudy.behaviour import Behaviour, load_behaviour
from understudy.contract.build import DOCUMENT_NAMES, load_contract
from understudy.contract.model import Contract
from understudy.errors import UsageError, suggestion

_PACKAGE = Path(__file__).parent
_IN_THE_WHEEL = _PACKAGE / "_bundled"
_IN_THE_REPOSITORY = _PACKAGE.parent.parent


@dataclass(frozen=True, slots=True)
class Folders:
    """The two folders of a provider."""

    contract: Path
    fake: Path


def bundled_root() -> Path:
    """Return the folder that holds the `contracts/` and `fakes/` of this package."""
    return _IN_THE_WHEEL if _IN_THE_WHEEL.exists() else _IN_THE_REPOSITORY


def roots(paths: Iterable[Path] = ()) -> Iterator[Path]:
    """Return where providers are looked for, in order.

    Args:
        paths: Folders to look in before the working directory.
    """
    yield from dict.fromkeys(path.resolve() for path in (*paths, Path.cwd(), bundled_root()))


def provider_names(paths: Iterable[Path] = ()) -> list[str]:
    """Return the names of all providers that are found, in alphabetical order."""
    return sorted({folder.name for root in roots(paths) for folder in _contracts_in(root)})


def _contracts_in(root: Path) -> Iterator[Path]:
    for folder in sorted((root / "contracts").glob("*")):
        if any((folder / name).exists() for name in DOCUMENT_NAMES):
            yield folder


def find_provider(name: str, paths: Iterable[Path] = ()) -> Folders:
    """Return the folders of a provider.

    Args:
        name: The provider's name, or a path to its contract folder.
        paths: Folders to look in before the working directory.

    Raises:
        UsageError: There is none of that name.
    """
    given = Path(name)
    if name != given.name and given.is_dir():  # `./acme` is a path, `acme` a name
        folder = given.resolve()
        return Folders(folder, folder.parent.parent / "fakes" / folder.name)
    for root in roots(paths):
        for folder in _contracts_in(root):
            if folder.name == name:
                return Folders(folder, root / "fakes" / name)
    raise UsageError(f'there is no provider "{name}"; {suggestion(name, provider_names(paths))}')


def load_provider(folders: Folders) -> tuple[Contract, Behaviour]:
    """Read and compile a provider; the same files are read once in a process.

    Raises:
        ContractInvalid: With every problem of every file.
    """
    return _load(folders, stamp(folders))


@lru_cache(maxsize=64)
def _load(folders: Folders, _stamp: tuple[tuple[str, int], ...]) -> tuple[Contract, Behaviour]:
    contract = load_contract(folders.contract)
    return contract, load_behaviour(folders.fake, contract)


def stamp(folders: Folders) -> tuple[tuple[str, int], ...]:
    """Return what changes when a file of a provider does: each file with its time of change."""
    files = [path for folder in (folders.contract, folders.fake) for path in folder.rglob("*.*") if path.is_file()]
    return tuple(sorted((str(path), path.stat().st_mtime_ns) for path in files))
