"""Find the providers: the user's own `contracts/` and `fakes/` first, then those that come with the package."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from understudy.errors import UsageError, suggestion

#: Folders with `contracts/` and `fakes/`, as users name them.
Paths = Iterable[str | os.PathLike[str]]

_DOCUMENT_NAMES = ("openapi.yaml", "openapi.yml", "openapi.json")

_BASE_URL = re.compile(r"^servers:\s+- url: https://[^/\s]+(\S*)$", re.MULTILINE)

_PACKAGE = Path(__file__).parent
_IN_THE_WHEEL = _PACKAGE / "_bundled"
_IN_THE_REPOSITORY = _PACKAGE.parent.parent


@dataclass(frozen=True, slots=True)
class Folders:
    """The two folders of a provider."""

    contract: Path
    fake: Path

    @property
    def bundled(self) -> bool:
        """Whether the provider comes with the package, and has been proven usable."""
        return self.contract.parent == bundled_root() / "contracts"

    @property
    def installed(self) -> bool:
        """Whether it lies in an installed package, where nobody changes it."""
        return self.contract.parent == _IN_THE_WHEEL / "contracts"


def bundled_root() -> Path:
    """Return the folder that holds the `contracts/` and `fakes/` of this package."""
    return _IN_THE_WHEEL if _IN_THE_WHEEL.exists() else _IN_THE_REPOSITORY


def roots(paths: Paths = ()) -> Iterator[Path]:
    """Return where providers are looked for, in order.

    Args:
        paths: Folders to look in before the working directory.
    """
    yield from dict.fromkeys(path.resolve() for path in (*map(Path, paths), Path.cwd(), bundled_root()))


def provider_names(paths: Paths = ()) -> list[str]:
    """Return the names of all providers that are found, in alphabetical order."""
    return sorted({folder.name for root in roots(paths) for folder in _contracts_in(root / "contracts")})


def _contracts_in(place: Path) -> Iterator[Path]:
    for folder in sorted(place.glob("*")):
        if document_of(folder) is not None:
            yield folder


def document_of(folder: Path) -> Path | None:
    """Return the OpenAPI document of a contract's folder, or None where there is none."""
    return next((folder / name for name in _DOCUMENT_NAMES if (folder / name).exists()), None)


def base_path_of(folders: Folders) -> str:
    """Return the path of the base URL of a provider that comes with the package, without the time that YAML takes."""
    document = document_of(folders.contract)
    found = document and _BASE_URL.search(document.read_text(encoding="utf-8"))
    assert found  # as a test sees
    return found[1]


def find_provider(name: str, paths: Paths = ()) -> Folders:
    """Return the folders of a provider.

    Args:
        name: The provider's name, or a path to its contract folder.
        paths: Folders to look in before the working directory.

    Raises:
        UsageError: There is none of that name.
    """
    given = Path(name)
    if name != given.name:  # `./acme` is a path, `acme` a name
        if document_of(given) is None:
            raise _no_contract(name, given)
        folder = given.resolve()
        return Folders(folder, folder.parent.parent / "fakes" / folder.name)
    for root in roots(paths):
        for folder in _contracts_in(root / "contracts"):
            if folder.name == name:
                return Folders(folder, root / "fakes" / name)
    places = [f"{root / 'contracts'}, and " for root in roots(paths) if root != bundled_root()]
    raise UsageError(
        f'there is no provider "{name}"; {suggestion(name, provider_names(paths))}\n'
        f"  Looked in {''.join(places)}the package; the path of a folder is taken, too: ./{name}"
    )


def _no_contract(name: str, given: Path) -> UsageError:
    """Return why a path leads to no contract, with those that are below it, or beside it."""
    place, reason = (given, "the folder has no openapi.yaml") if given.is_dir() else (given.parent, "it is no folder")
    near = [folder.name for folder in _contracts_in(place)]
    return UsageError(f'there is no provider "{name}": {reason}; {suggestion(given.name, near)}')


def stamp(folders: Folders) -> tuple[tuple[str, int], ...]:
    """Return what changes when a file of a provider does: each file with its time of change."""
    return tuple(sorted((*_files(folders.contract), *_files(folders.fake))))


def _files(folder: str | os.PathLike[str]) -> Iterator[tuple[str, int]]:
    """Return the files below a folder; it is looked at whenever a fake is made, so this is no place for `Path`."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _files(entry.path)
            else:
                yield entry.path, entry.stat().st_mtime_ns
