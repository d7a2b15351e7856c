"""Tests of the live server: lifecycles, addresses, starting and stopping."""

from __future__ import annotations

import contextlib
import io
import re
import socket
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from PIL import Image

import understudy
from tests.live import (
    PROVIDERS,
    STORIES,
    connected,
    copy_of,
    key,
    links_when_done,
    listening,
    make,
    raw,
    told,
)
from tests.small import small
from understudy.clock import SystemClock, VirtualClock
from understudy.directory import Addresses
from understudy.errors import ContractInvalid, UsageError
from understudy.listen import loop_factory, shown_host
from understudy.media import draw
from understudy.server import LiveServer, serve
from understudy.wire import Reply, Request

# --- lifecycles -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_lifecycle_at_speed(name: str, http: httpx.Client) -> None:
    """With the clock at 100 times the usual speed, a job is made, polled to its end, and its picture fetched."""
    with serve(name, speed=100) as server:
        job_id = make(http, server.url_of(name), name)
        (link,) = links_when_done(http, server.url_of(name), name, job_id)
        assert link.startswith(f"{server.asset_url}/{name}/")
        reply = http.get(link)
        assert reply.status_code == 200
        assert reply.headers["content-type"] == "image/png"
        Image.open(io.BytesIO(reply.content)).load()
        head = http.head(link)
        assert head.content == b""
        assert head.headers["content-length"] == str(len(reply.content))


def test_an_operation_by_head_tells_how_long_its_answer_is(tmp_path: Path, http: httpx.Client) -> None:
    """The answer has the headers that it had with its body, and no body."""
    ping = {"head": {"operationId": "ping"}, "get": {"operationId": "pong"}}
    replies = {name: {"body": {"now": 1}} for name in ("ping", "pong")}
    root = small(tmp_path, paths={"/ping": ping}, replies=replies)
    with serve("small", paths=[root]) as server:
        whole, head = (ask(f"{server.url_of('small')}/ping") for ask in (http.get, http.head))
        assert (whole.content, head.content) == (b'{"now":1}', b"")
        assert head.headers["content-length"] == whole.headers["content-length"] == "9"
        assert http.get(f"{server.url_of('small')}/ping").content == whole.content  # on the same connection


def test_the_clock_moves_by_hand(live: LiveServer, http: httpx.Client) -> None:
    """What falls due on the way is done before `advance` returns, each at its own moment."""
    job_id = make(http, live.url_of("kie"), "kie")
    began = live.clock.now()
    live.advance(60)
    assert [(step.status, step.at - began) for step in told(live).transitions if step.job_id == job_id] == [
        ("waiting", 0),
        ("queuing", 1),
        ("generating", 3),
        ("success", 15),
    ]


def test_a_clock_that_runs_can_be_moved(http: httpx.Client) -> None:
    """A running clock that is moved from another thread does what falls due, and the pump goes on from there."""
    with serve("kie") as server:
        job_id = make(http, server.url_of("kie"), "kie")
        server.clock.advance(60)
        (link,) = links_when_done(http, server.url_of("kie"), "kie", job_id)
        assert http.get(link).status_code == 200


def test_keys_do_not_meet(live: LiveServer, http: httpx.Client) -> None:
    """Each key is an account: neither sees the jobs of the other, nor pays for them."""
    url = live.url_of("kie")
    job_id = make(http, url, "kie")
    mine, other = (http.get(url + STORIES["kie"].status(job_id), headers=key(name)).json() for name in ("key", "other"))
    assert mine["data"]["taskId"] == job_id
    assert other["code"] == 422
    balances = [http.get(f"{url}/api/v1/chat/credit", headers=key(name)).json()["data"] for name in ("key", "other")]
    assert balances == [10000 - 18, 10000]


def test_scenario_and_errors_go_to_those_that_have_them(http: httpx.Client) -> None:
    """A scenario and an error transport apply to the providers that have them, and the others play as usual."""
    with serve(scenario="errors-as-http", errors="http") as server:
        assert [role.scenario for role in server.roster] == [None, "errors-as-http", None, None, "errors-as-http"]
        assert [role.errors for role in server.roster] == ["http"] * 5
        assert http.get(f"{server.url_of('kie')}/api/v1/chat/credit").status_code == 401


# --- addresses ------------------------------------------------------------------------------------------------------


def link_of(live: LiveServer, http: httpx.Client, url: str, host: str | None = None) -> str:
    headers = {**key(), **({"host": host} if host else {})}
    job_id = http.post(url + STORIES["oxen"].create, json=STORIES["oxen"].body, headers=headers).json()
    live.advance(60)
    reply = http.get(url + STORIES["oxen"].status(STORIES["oxen"].id_of(job_id)), headers=headers)
    return STORIES["oxen"].links(reply.json())[0]


def test_links_name_the_host_that_the_client_named(live: LiveServer, http: httpx.Client) -> None:
    """A link to a result names the host that the client called us by, and the port of the result files."""
    port = live.asset_url.rpartition(":")[2]
    assert link_of(live, http, live.url_of("oxen")).startswith(f"{live.asset_url}/oxen/")
    named = link_of(live, http, live.url_of("oxen"), "studio.test:8080")
    assert named.startswith(f"http://studio.test:{port}/oxen/")


def test_a_providers_own_host_needs_no_prefix(live: LiveServer, http: httpx.Client) -> None:
    """Under a real host of a provider its paths answer at the root, and links name the server's own address."""
    link = link_of(live, http, live.url, "hub.oxen.ai")
    assert link.startswith(f"{live.asset_url}/oxen/")
    path = link.removeprefix(f"{live.asset_url}/oxen")
    assert http.get(live.asset_url + path, headers={"host": "hub.oxen.ai:80"}).status_code == 200


def test_the_base_url_has_the_path_of_the_real_one(tmp_path: Path, http: httpx.Client) -> None:
    """Where a provider's base URL has a path, what stands in for it has it, too, and so have its own links."""
    document = small(tmp_path) / "contracts/small/openapi.yaml"
    document.write_text(document.read_text().replace("https://api.small.test", "https://api.small.test/v1"))
    with serve("small", paths=[tmp_path], clock=VirtualClock()) as server:
        assert server.url_of("small") == f"{server.url}/small/v1"
        reply = http.post(server.url_of("small") + "/jobs", json={"prompt": "a"}, headers=key())
        assert reply.status_code == 201
        [about] = http.get(f"{server.url}/__admin/providers").json()["providers"]
        assert about["url"] == server.url_of("small")


def test_a_bad_host_header_is_not_echoed(live: LiveServer, http: httpx.Client) -> None:
    """A Host header that is no host is left out of links."""
    assert link_of(live, http, live.url_of("oxen"), 'x"><script>').startswith(f"{live.asset_url}/oxen/")


def test_addresses_as_they_are_called() -> None:
    """The port of the providers is the one that the client saw, except on the port of the result files."""
    addresses = Addresses("127.0.0.1", 4010, 4011)
    assert addresses.as_called("[::1]", "4010", 4010) == ("http://[::1]:4010", "http://[::1]:4011")
    assert addresses.as_called("box", "80", 4010) == ("http://box:80", "http://box:4011")
    assert addresses.as_called("box", None, 4010) == ("http://box", "http://box:4011")
    assert addresses.as_called("box", "4011", 4011) == ("http://box:4010", "http://box:4011")


@pytest.mark.parametrize(
    ("bound", "shown"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::1", "[::1]"), ("::", "[::1]"), ("::2", "[::2]")],
)
def test_the_address_that_is_shown_can_be_reached(bound: str, shown: str) -> None:
    """An address for all interfaces is shown as loopback, and one of IPv6 in brackets."""
    listener: Any = SimpleNamespace(getsockname=lambda: (bound, 1))
    assert shown_host(listener) == shown


def test_both_ports_answer_alike(live: LiveServer, http: httpx.Client) -> None:
    """A request to the port of the result files is answered as one to the other port."""
    replies = [http.get(f"{url}/kie/api/v1/chat/credit", headers=key()) for url in (live.url, live.asset_url)]
    assert [reply.json()["data"] for reply in replies] == [10000, 10000]


def test_a_path_may_hold_a_line_feed(live: LiveServer, http: httpx.Client) -> None:
    """Whatever characters a path has, its provider answers."""
    reply = http.get(f"{live.url_of('oxen')}/api/ai/queue/a%0Ab", headers=key())
    assert reply.json()["error"]["type"] == "resource_not_found"


def test_a_path_of_nobody_is_answered_helpfully(live: LiveServer, http: httpx.Client) -> None:
    """A path without a provider is a 404 that names the providers, and whose path it may be."""
    reply = http.post(f"{live.url}/api/v1/jobs/createTask", json={})
    assert reply.status_code == 404
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["providers"] == {name: live.url_of(name) for name in PROVIDERS}
    assert "put /kie before it" in reply.json()["detail"]
    assert 'did you mean "kie"' in http.get(f"{live.url}/kei/x").json()["detail"]
    assert http.get(f"{live.url}/").status_code == 404


def test_an_unknown_provider_is_named(live: LiveServer) -> None:
    """Asking the server for a provider that it does not play says which one may be meant."""
    with pytest.raises(UsageError, match='did you mean "oxen"'):
        live.url_of("oxn")
    with pytest.raises(UsageError):
        live.provider("nobody")


def test_browsers_may_call(live: LiveServer, http: httpx.Client) -> None:
    """A preflight is answered for any origin, method and header, and replies may be read by the page."""
    headers = {
        "origin": "http://app.test:3000",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }
    preflight = http.options(f"{live.url_of('kie')}/api/v1/jobs/createTask", headers=headers)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    assert "POST" in preflight.headers["access-control-allow-methods"]
    reply = http.get(f"{live.url_of('kie')}/api/v1/chat/credit", headers={**key(), "origin": "http://app.test:3000"})
    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.headers["access-control-expose-headers"] == "*"


# --- starting and stopping ------------------------------------------------------------------------------------------


def test_a_stop_ends_streams_cleanly(http: httpx.Client) -> None:
    """A stream that is open when the server stops ends as a stream does, and a second stop does nothing."""
    server = serve("oxen")
    with listening(http, f"{server.url_of('oxen')}/api/events") as lines:
        server.close()
        assert list(lines) == []
    server.close()


def test_a_stop_cuts_off_who_does_not_let_go() -> None:
    """A client that never ends its request does not keep the server from stopping."""
    with serve("oxen") as server:
        head = b"POST /oxen/api/ai/queue HTTP/1.1\r\nhost: x\r\n"
        connection = connected(server.url)
        connection.sendall(head + b"content-length: 10\r\n\r\n{")
        answer = raw(server.url, head + b"content-length: 1\r\n\r\n ")
        assert answer.startswith(b"HTTP/1.1 401")  # so the one before it has been read, too
    with connection, contextlib.suppress(ConnectionError):
        assert connection.recv(1) == b""


def test_a_stop_does_not_wait_for_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture that is being drawn when the server stops is given up, and no error is told of it."""
    drawing, go_on = threading.Event(), threading.Event()

    def drawn(_: Request) -> Reply:
        drawing.set()
        go_on.wait(20)
        return Reply(200, [], b"")

    with serve("kie") as server:
        monkeypatch.setattr(server.provider("kie"), "handle", drawn)
        connection = connected(server.url)
        connection.sendall(b"GET /kie/p/0.png HTTP/1.1\r\nhost: x\r\n\r\n")
        assert drawing.wait(20)
    go_on.set()
    connection.close()


def test_other_requests_are_answered_while_a_picture_is_drawn(
    live: LiveServer, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture is drawn beside the loop that answers, and no lock is held meanwhile."""
    drawing, go_on = threading.Event(), threading.Event()

    def slow(picture: Any) -> bytes:
        drawing.set()
        assert go_on.wait(20)
        return draw(picture)

    job_id = make(http, live.url_of("kie"), "kie")
    live.advance(20)
    (link,) = links_when_done(http, live.url_of("kie"), "kie", job_id)
    monkeypatch.setattr("understudy.files.draw", slow)
    got: list[int] = []
    fetch = threading.Thread(target=lambda: got.append(httpx.get(link, timeout=20).status_code))
    fetch.start()
    assert drawing.wait(20)
    assert http.get(f"{live.url_of('kie')}/api/v1/chat/credit", headers=key()).status_code == 200
    go_on.set()
    fetch.join()
    assert got == [200]


def test_ports_that_are_taken() -> None:
    """A port that another program has is an error that says which one, and the other port is let go again."""
    with serve("kie") as server:
        port = int(server.url.rpartition(":")[2])
        with pytest.raises(UsageError, match=f"port {port} of 127.0.0.1: another program.*\n.*another port;"):
            serve("kie", port=port)
        with socket.create_server(("127.0.0.1", 0)) as spare:
            free = spare.getsockname()[1]
        with pytest.raises(UsageError, match="another asset port"):
            serve("kie", port=free, asset_port=port)
        with socket.create_server(("127.0.0.1", free)):
            pass


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"port": 70_000}, "port is 70000, and has to be from 0 to 65535"),
        ({"host": "256.256.256.256"}, "cannot listen on port 0 of 256.256.256.256"),
        ({"speed": 0}, "the speed has to be above 0"),
        ({"speed": float("nan")}, "the speed has to be above 0"),
        (
            {"scenario": "stuck-in-queu"},
            'no provider here has the scenario "stuck-in-queu"; did you mean "stuck-in-que',
        ),
        ({"errors": "htp"}, 'no provider here has the error transport "htp"; did you mean "http"'),
    ],
)
def test_what_cannot_be_served(arguments: dict[str, Any], message: str) -> None:
    """Arguments that cannot be are refused before anything listens, with the nearest that can."""
    with pytest.raises(UsageError, match=re.escape(message)):
        serve("kie", **arguments)
    with pytest.raises(UsageError, match='there is no provider "kei"; did you mean "kie"'):
        serve("kei")


def test_every_broken_contract_is_told(tmp_path: Path) -> None:
    """When several contracts are broken, one error tells of all of them."""
    copy_of("kie", tmp_path, ("unknown: active", "unknwon: active"))
    copy_of("oxen", tmp_path, ("scope: account", "scope: acount"))
    with pytest.raises(ContractInvalid) as caught:
        serve(paths=[tmp_path])
    assert {Path(problem.file).parent.name for problem in caught.value.problems} == {"kie", "oxen"}


def test_an_open_address_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    """Listening on more than loopback is warned of, even by a quiet server."""
    with serve("kie", host="0.0.0.0") as server:
        assert server.url.startswith("http://127.0.0.1:")
    assert "whoever reaches this machine can use it" in capsys.readouterr().err


@pytest.mark.parametrize("first", [0, 1])
def test_servers_may_share_a_clock(first: int, http: httpx.Client) -> None:
    """Two servers on one clock stop in either order, and the other goes on."""
    clock = SystemClock(100)
    servers = [serve("kie", clock=clock), serve("oxen", clock=clock)]
    servers[first].close()
    name = ("oxen", "kie")[first]
    with servers[1 - first] as server:
        assert links_when_done(http, server.url_of(name), name, make(http, server.url_of(name), name))
    clock.call_at(clock.now(), lambda: None)


def test_without_uvloop_the_usual_loop_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no uvloop the event loop is asyncio's own."""
    assert loop_factory() is not None
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert loop_factory() is None


def test_the_package_serves() -> None:
    """The package itself has `serve`."""
    assert understudy.serve is serve
