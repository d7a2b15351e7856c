"""Tests of the variables by which programs find the proxy."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from understudy.environment import merged, variables_of
from understudy.errors import UsageError
from understudy.proxy import Proxy, proxied
from understudy.server import serve


@pytest.fixture(scope="module")
def running() -> Iterator[Proxy]:
    """A proxy that most tests share."""
    with serve("kie") as server, proxied(server) as opened:
        yield opened


def test_the_variables_can_be_asked_for(running: Proxy) -> None:
    """The proxy tells its variables to this machine, and not to a page under another name."""
    assert variables_of(running.url) == running.environment
    refused = httpx.get(running.url, headers={"host": "evil.test"}, trust_env=False)
    assert refused.status_code == 403
    assert json.loads(refused.content)["title"] == "not from here"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nonsense", "http://[x"])
def test_no_proxy_to_ask(url: str) -> None:
    """Where no proxy answers it is said how to start one."""
    with pytest.raises(UsageError, match=r"no proxy answers at .*\n.*understudy serve --proxy"):
        variables_of(url)


def test_something_else_answers() -> None:
    """What answers and is no proxy is none."""
    with serve("kie") as server, pytest.raises(UsageError, match="no proxy answers"):
        variables_of(server.url)


def test_the_variables(running: Proxy) -> None:
    """Clients get the proxy, loopback apart, and the bundle; options of Node that there are stay."""
    variables = running.environment
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy"):
        assert variables[name] == running.url
    assert variables["NO_PROXY"] == variables["no_proxy"] == "localhost,127.0.0.1,::1"
    both = merged(variables, {"NODE_OPTIONS": "--trace-warnings", "HOME": "here", "NO_PROXY": "api.kie.ai"})
    assert both["NODE_OPTIONS"] == f"--trace-warnings {variables['NODE_OPTIONS']}"
    assert (both["HOME"], both["NO_PROXY"]) == ("here", variables["NO_PROXY"])
    assert merged(variables, both) == both
