"""Tests of `understudy verify` against a provider that is not there, or hangs up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.alterations import KEY
from understudy.cli import main
from understudy.server import serve


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """A live fake of one provider in an empty folder, and the key in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROVIDER_KEY", KEY)
    with serve("kie") as server:
        yield f"{server.url}/kie"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:1/kie", "ConnectError: [Errno"),
        ("https://127.0.0.1:{port}/kie", "ConnectError: [SSL"),
    ],
)
def test_where_nobody_is_nothing_is_checked(
    live: str, capsys: pytest.CaptureFixture[str], url: str, reason: str
) -> None:
    """A provider that cannot be reached is told of in one message: no check is made, nothing is noted as spent."""
    url = url.format(port=urlsplit(live).port)
    assert main(["verify", "kie", "--base-url", url, "--key-env", "PROVIDER_KEY", "--budget", "1"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"nobody can be reached at {url}: {reason}")
    assert err.endswith("\n  Look at --base-url, and whether the provider is up.\n")
    assert not list(Path().iterdir())


def test_one_that_hangs_up_is_there(
    live: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A provider that ends the first connection without an answer is there, and the checks tell what it does."""
    asked: list[str] = []
    inner = httpx.HTTPTransport.handle_request

    def handle(self: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        if len(asked) == 1:
            raise httpx.ReadError("reset")
        return inner(self, request)

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", handle)
    arguments = ["verify", "kie", "--base-url", live, "--key-env", "PROVIDER_KEY", "--only", "balance"]
    assert main(arguments) == 0
    assert asked == ["HEAD", "GET"]
    assert "1 of 1 checks made" in capsys.readouterr().out
