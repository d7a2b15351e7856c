"""Tests of the roster: which providers are played, and when one is to be loaded anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live import PROVIDERS, copy_of, roster_of


def test_a_change_of_a_file_is_seen_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider is outdated once for each change of a file, and while a file cannot be read it is not."""
    document = copy_of("kie", tmp_path)
    roster = roster_of(str(document.parent))
    assert roster.outdated() == []
    text = document.read_text(encoding="utf-8")
    document.write_text(text + "\n", encoding="utf-8")
    assert [role.name for role in roster.outdated()] == ["kie"]
    assert roster.outdated() == []
    document.write_text(text, encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr("understudy.roster.stamp", lambda folders: document.with_name("gone").stat())
        assert roster.outdated() == []
    assert [role.name for role in roster.outdated()] == ["kie"]


def test_a_provider_named_twice_is_played_once() -> None:
    """The same provider named twice is one provider."""
    assert [role.name for role in roster_of("kie", "kie")] == ["kie"]


def test_a_proven_provider_is_loaded_when_it_is_asked_for(tmp_path: Path) -> None:
    """What comes with the package is loaded by its first request, and the user's own at once."""
    roster = roster_of("kie", "oxen", str(copy_of("shortapi", tmp_path).parent))
    assert [role.name for role in roster.playing()] == ["shortapi"]
    assert roster.find("127.0.0.1", "/oxen/api/x") == (roster.role("oxen"), "/api/x", "")
    assert [role.name for role in roster.playing()] == ["shortapi"]
    assert roster.role("oxen").provider.contract.name == "oxen"
    assert [role.name for role in roster.playing()] == ["oxen", "shortapi"]


@pytest.mark.parametrize("name", PROVIDERS)
def test_where_a_provider_answers_is_known_before_it_is_loaded(name: str) -> None:
    """The path of a base URL is the same before and after the provider is loaded, and does not load it."""
    role = roster_of(name).role(name)
    before = role.base_path
    assert not role.playing
    assert before == role.provider.contract.base_path == role.base_path


def test_a_host_that_is_not_of_this_machine_may_be_any_providers() -> None:
    """A request to a provider's own host finds it, loaded or not."""
    roster = roster_of("kie", "oxen")
    assert roster.find("api.kie.ai", "/x") == (roster.role("kie"), "/x", "api.kie.ai")


def test_what_is_not_loaded_has_nothing_to_forget() -> None:
    """A reset does not load a provider."""
    roster = roster_of("kie")
    roster.role("kie").reset()
    assert list(roster.playing()) == []


def test_who_comes_while_a_provider_is_loaded_gets_the_same() -> None:
    """A provider is loaded once, however many ask for it at the same time."""
    role = roster_of("kie").role("kie")
    assert role._loaded() is role._loaded()
