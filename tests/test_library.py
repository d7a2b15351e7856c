"""Tests of how providers are found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.small import small
from understudy import folders
from understudy.errors import ContractInvalid, UsageError
from understudy.folders import Folders, bundled_root, find_provider, provider_names, roots, stamp
from understudy.library import load_provider


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch) -> Path:
    """Return a folder that is the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_bundled_providers_are_found_anywhere(workplace: Path) -> None:
    """From any working directory the providers of the package can be found."""
    assert {"kie", "oxen", "shortapi"} <= set(provider_names())
    assert find_provider("kie").contract == bundled_root() / "contracts/kie"


def test_the_wheel_carries_its_own_providers(workplace: Path, monkeypatch) -> None:
    """Where the package was installed from a wheel, its providers are beside its modules."""
    monkeypatch.setattr(folders, "_IN_THE_WHEEL", workplace)
    assert bundled_root() == workplace
    monkeypatch.setattr(folders, "_IN_THE_WHEEL", workplace / "nothing")
    assert bundled_root() == folders._IN_THE_REPOSITORY


def test_what_is_installed_is_not_held_to_the_format_again(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A contract of an installed package was proven before it was packed; one that somebody edits is proven anew."""
    document = small(workplace, unheard="of") / "contracts/small/openapi.yaml"
    with pytest.raises(ContractInvalid, match='unknown key "unheard"'):
        load_provider(find_provider("small"))
    monkeypatch.setattr(folders, "_IN_THE_WHEEL", workplace)
    document.touch()
    assert load_provider(find_provider("small"))[0].name == "small"


def test_the_user_comes_first(workplace: Path) -> None:
    """A provider is looked for in the given folders, then in the working directory, then in the package."""
    given = small(workplace / "given")
    assert [root.name for root in roots([given])][:2] == ["given", workplace.name]
    (workplace / "contracts").mkdir()
    for root in (workplace, given):
        (root / "contracts/kie").mkdir(parents=True)
        (root / "contracts/kie/openapi.yaml").touch()
    assert find_provider("kie", [given]) == Folders(given / "contracts/kie", given / "fakes/kie")
    assert find_provider("kie") == Folders(workplace / "contracts/kie", workplace / "fakes/kie")
    assert list(roots([workplace, workplace])) == [workplace, bundled_root()]


def test_a_folder_without_a_document_is_no_provider(workplace: Path) -> None:
    """Only a folder with an OpenAPI document in it is a provider; each of its names will do."""
    for name, file in (("a", "openapi.yml"), ("b", "openapi.json"), ("c", "readme.md")):
        (workplace / "contracts" / name).mkdir(parents=True)
        (workplace / "contracts" / name / file).touch()
    assert {"a", "b", "c"} & set(provider_names()) == {"a", "b"}


def test_an_unknown_provider_is_answered_with_the_nearest(workplace: Path) -> None:
    """A name that nobody has is an error that names the nearest one."""
    with pytest.raises(UsageError, match='there is no provider "shortappi"; did you mean "shortapi"'):
        find_provider("shortappi")


def test_where_an_unknown_provider_was_looked_for_is_told(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second line of the error has each place that was looked into, and how a folder is named."""
    monkeypatch.chdir(small(workplace / "mine"))
    below = workplace / "mine" / "contracts"
    last = "; the path of a folder is taken, too: ./renders"
    for paths, places in (([], f"{below}"), ([workplace], f"{workplace / 'contracts'}, and {below}")):
        with pytest.raises(UsageError) as caught:
            find_provider("renders", paths)
        assert str(caught.value).splitlines()[1] == f"  Looked in {places}, and the package{last}"
    monkeypatch.chdir(bundled_root())
    with pytest.raises(UsageError, match=f"  Looked in the package{last}$"):
        find_provider("renders")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("mine/contracts/smal", 'it is no folder; did you mean "small"?'),
        ("./contracts", "the folder has no openapi.yaml; there is: small"),
        ("./contracts/small/openapi.yaml", "it is no folder; there is none"),
        ("no/where", "it is no folder; there is none"),
    ],
)
def test_a_path_that_leads_to_no_contract(
    name: str, reason: str, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said whether there is no folder or no document in it, and which contracts are beside or below it."""
    small(workplace / "mine")
    small(workplace)
    with pytest.raises(UsageError) as caught:
        find_provider(name)
    assert str(caught.value) == f'there is no provider "{name}": {reason}'


def test_a_path_leads_to_a_folder(workplace: Path) -> None:
    """A path to a contract's folder is as good as a name, and its fake is where the format says."""
    root = small(workplace / "mine")
    assert find_provider("mine/contracts/small") == Folders(root / "contracts/small", root / "fakes/small")
    with pytest.raises(UsageError, match="there is no provider"):
        find_provider("mine/contracts/another")


def test_a_path_of_one_part_is_a_path_when_it_says_so(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`./small` is the folder here, as it is in a shell; `small` is a name."""
    root = small(workplace / "mine")
    monkeypatch.chdir(root / "contracts")
    assert find_provider("./small") == Folders(root / "contracts/small", root / "fakes/small")
    with pytest.raises(UsageError, match="there is no provider"):
        find_provider("small")


def test_files_are_read_once(workplace: Path) -> None:
    """The same files give the same contract; a file that changed, came or went gives a new one."""
    folders = find_provider("small", [small(workplace)])
    first = load_provider(folders)
    assert load_provider(folders) is first
    file = workplace / "fakes/small/behaviour.yaml"
    before = stamp(folders)
    os.utime(file, ns=(0, 0))
    assert stamp(folders) != before
    second = load_provider(folders)
    assert second is not first
    file.unlink()
    assert load_provider(folders) is not second
    assert load_provider(folders)[1].balance == 1000
