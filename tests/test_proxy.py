"""Tests of the proxy: who is answered, who is refused, and what is opened."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from cryptography import x509

from tests.live import PATIENCE, copy_of, key, links_when_done, make, receiver
from understudy import gate, proxy
from understudy.certificates import LIFETIME_SECONDS, _system_bundle, certificates
from understudy.clock import SystemClock, VirtualClock
from understudy.errors import UsageError
from understudy.proxy import Proxy, proxied
from understudy.server import LiveServer, serve
from understudy.virtual_time import virtual_time
from understudy.wire import Severed

KIE = "https://api.kie.ai"
CREDIT = "/api/v1/chat/credit"


@contextmanager
def behind(*, speed: float = 60, told: Any = None, **options: Any) -> Iterator[tuple[LiveServer, Proxy]]:
    """Play all providers behind a proxy that lets `localhost` through."""
    more = {} if told is None else {"told": told}
    with serve(speed=speed, **options) as server, proxied(server, allow=["LOCALHOST"], **more) as opened:
        yield server, opened


@pytest.fixture(scope="module")
def running() -> Iterator[Proxy]:
    """A proxy that most tests share."""
    with behind() as (_, opened):
        yield opened


def client(opened: Proxy) -> httpx.Client:
    """Return a client that finds the proxy and trusts it, as its variables would have it."""
    trust = ssl.create_default_context(cafile=opened.environment["SSL_CERT_FILE"])
    return httpx.Client(proxy=opened.url, verify=trust, trust_env=False, timeout=20)


def said(opened: Proxy, data: bytes) -> bytes:
    """Send bytes to the proxy, and return its answer up to the end."""
    with socket.create_connection(("127.0.0.1", int(opened.url.rpartition(":")[2])), timeout=20) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@contextmanager
def answering(answer: Callable[[bytes], bytes], tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Answer each connection on a port of this machine once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve_all() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, connection if tls is None else tls.wrap_socket(connection, server_side=True) as line:
                    line.sendall(answer(line.recv(65536)))

        thread = threading.Thread(target=serve_all)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


# --- the providers' hosts -------------------------------------------------------------------------------------------


def test_a_lifecycle_at_the_real_hosts(running: Proxy) -> None:
    """A job is made, polled and fetched at the real addresses, and the links in the replies name the real hosts."""
    with client(running) as http:
        for name, host in (("kie", KIE), ("oxen", "https://hub.oxen.ai"), ("shortapi", "https://api.shortapi.ai")):
            (link,) = links_when_done(http, host, name, make(http, host, name))
            assert link.startswith("https://")
            assert "127.0.0.1" not in link
            assert http.get(link).headers["content-type"] == "image/png"


@pytest.mark.parametrize("port", [80, 443])
def test_a_connection_is_to_one_host(running: Proxy, port: int) -> None:
    """On a connection to one host a request for another is refused, and the next one for the first is answered."""
    url = f"http{'s' if port == 443 else ''}://api.kie.ai{CREDIT}"
    with client(running) as http:
        if port == 443:
            assert http.get(url, headers=key("rich")).json()["data"] == 10000
        wrong = http.get(url, headers={**key(), "host": "hub.oxen.ai"})
        assert wrong.status_code == 421
        assert wrong.json()["detail"] == "The connection is to api.kie.ai, and the Host is hub.oxen.ai."
        assert http.get(url, headers={**key(), "host": "?"}).status_code == 421
        assert http.get(url, headers=key("rich")).json()["data"] == 10000


def test_the_admin_api_is_not_behind_a_providers_host(running: Proxy) -> None:
    """A request through the proxy does not reach the admin addresses."""
    with client(running) as http:
        assert "Understudy" not in http.get(f"{KIE}/__admin/health").text


def test_a_plain_request_ends_its_connection(running: Proxy) -> None:
    """A request for http:// is answered on a connection of its own, since the next may be for another host."""
    with client(running) as http:
        reply = http.get(f"http://api.kie.ai{CREDIT}", headers=key("rich"))
    assert reply.json()["data"] == 10000
    assert reply.headers["connection"] == "close"


def test_a_plain_request_through_a_tunnel(running: Proxy) -> None:
    """A tunnel to port 80 speaks no TLS."""
    port = int(running.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(b"CONNECT api.kie.ai:80 HTTP/1.1\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        connection.sendall(b"GET /nothing HTTP/1.1\r\nhost: api.kie.ai\r\nconnection: close\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 404 ")


def test_a_fault_reaches_the_client() -> None:
    """A connection that a fault cuts is cut; an outage of one provider leaves the others alone."""
    with behind(scenario="outage", speed=1) as (_, opened), client(opened) as http:
        for _ in range(2):
            with pytest.raises(httpx.TransportError):
                make(http, KIE, "kie")
        assert http.get("https://file.shortapi.ai/").status_code == 404


def test_what_is_told() -> None:
    """Each answer is told with its request; to a client that leaves before its answer, it is that there was none."""
    told: list[Any] = []
    left = threading.Event()

    def keep(role: Any, request: Any, outcome: Any) -> None:
        told.append((role.name, request.path, outcome))
        if isinstance(outcome, Severed):
            left.set()

    with behind(clock=VirtualClock(), told=keep) as (_, opened), client(opened) as http:
        http.get(f"{KIE}{CREDIT}?x=1", headers=key())
        body = {"model": "google-nano-banana-pro", "prompt": "a lighthouse"}
        with pytest.raises(httpx.ReadTimeout):
            http.post("https://hub.oxen.ai/api/ai/images/edit", json=body, headers=key(), timeout=0.2)
        http.close()
        assert left.wait(20)
    assert [(name, path) for name, path, _ in told] == [("kie", CREDIT), ("oxen", "/api/ai/images/edit")]
    assert told[0][2].operation == "getCredit"


def test_a_page_of_another_origin_gets_what_the_contract_says(running: Proxy) -> None:
    """At a real host a preflight request is a method that is not allowed, and no answer lets an origin in."""
    asks = {"origin": "https://app.test", "access-control-request-method": "GET"}
    with client(running) as http:
        replies = [http.options(f"{KIE}{CREDIT}", headers=asks), http.get(f"{KIE}{CREDIT}", headers={**asks, **key()})]
    assert [reply.status_code for reply in replies] == [405, 200]
    assert not [name for reply in replies for name in reply.headers if name.startswith("access-control-")]


EDIT = {"model": "nano-banana", "prompt": "a", "input_image": "https://a.example/a.png"}


def test_virtual_time_goes_on_for_who_is_behind_a_proxy() -> None:
    """A request through the proxy that blocks moves a clock that others move, by as much as it waits."""
    clock = VirtualClock()
    began = clock.now()
    with behind(clock=clock) as (server, opened), client(opened) as http:
        server.share_clock()
        with virtual_time(clock, peers=(server,)):
            assert http.post("https://hub.oxen.ai/api/ai/images/edit", json=EDIT, headers=key()).json()["images"]
    assert clock.now() - began == pytest.approx(12, abs=0.1)


def test_the_beginning_of_tls_is_work() -> None:
    """While a client and the proxy greet each other no clock may be moved for want of work, and afterwards it may."""

    def becomes(busy: bool) -> bool:
        return any(server.busy() is busy or said(opened, b"hello\r\n\r\n") == b"" for _ in range(PATIENCE))

    with behind() as (server, opened):
        with socket.create_connection(("127.0.0.1", opened.port), timeout=20) as connection:
            assert not server.busy()
            connection.sendall(b"CONNECT api.kie.ai:443 HTTP/1.1\r\n\r\n")
            assert becomes(True)
        assert becomes(False)


def test_a_loop_in_virtual_time_behind_a_proxy() -> None:
    """A task that sleeps between two requests through the proxy finds its job as far as it has slept."""
    clock = VirtualClock()

    async def polls(opened: Proxy) -> int:
        trust = ssl.create_default_context(cafile=opened.environment["SSL_CERT_FILE"])
        async with httpx.AsyncClient(
            proxy=opened.url, verify=trust, trust_env=False, headers=key(), timeout=60
        ) as http:
            body = {"model": "nano-banana-pro", "input": {"prompt": "a"}}
            made = (await http.post(f"{KIE}/api/v1/jobs/createTask", json=body)).json()
            link, count = f"{KIE}/api/v1/jobs/recordInfo?taskId={made['data']['taskId']}", 1
            while (await http.get(link)).json()["data"]["state"] != "success":
                count += 1
                await asyncio.sleep(5)  # noqa: TID251 # as code under test does
            return count

    with behind(clock=clock) as (server, opened):
        server.share_clock()
        with virtual_time(clock, peers=(server,)):
            assert asyncio.run(polls(opened)) == 4


# --- other hosts ----------------------------------------------------------------------------------------------------


OTHER_HOST = (b"CONNECT example.com:443 HTTP/1.1\r\n\r\n", b"GET http://example.com/ HTTP/1.1\r\n\r\n")


def test_another_host_is_refused(running: Proxy) -> None:
    """A host that is no provider's is refused with its name and the flag."""
    for data in OTHER_HOST:
        answer = said(running, data).decode()
        assert answer.startswith("HTTP/1.1 403 example.com is refused: --allow example.com\r\n")
        assert answer.endswith(
            "example.com is refused\n"
            "  where: the proxy, behind which nothing leaves this machine\n"
            "  expected: a host of a provider that is played, or one that was allowed; got: example.com\n"
            "  do: if it is to be reached, say --allow example.com\n"
        )
    assert running.refused["example.com"] == 2


def test_only_loopback_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is asked for, a job, a file, a callback or another host, no other name is looked up or connected to."""
    # uvloop does both where nobody sees it
    monkeypatch.setattr("understudy.server.loop_factory", lambda: asyncio.new_event_loop)
    with watched() as opened, behind() as (_, running), client(running) as http, receiver() as mailbox:
        for data in OTHER_HOST:
            said(running, data)
        job_id = make(http, KIE, "kie", callBackUrl=mailbox.url)
        for link in links_when_done(http, KIE, "kie", job_id):
            assert http.get(link).status_code == 200
        make(http, "https://api.shortapi.ai", "shortapi", callback_url="https://example.com/")
        mailbox.wait(1)
    assert opened == {"127.0.0.1"}


@contextmanager
def watched() -> Iterator[set[str]]:
    """Note the address of each connection that this process opens, and each name that it looks up."""
    opened: set[str] = set()
    watching = True

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event in ("socket.connect", "socket.getaddrinfo"):
            opened.add(str(arguments[1][0] if event == "socket.connect" else arguments[0]))

    sys.addaudithook(look)  # which cannot be taken away again
    yield opened
    watching = False


def test_an_allowed_host_is_let_through_untouched(running: Proxy) -> None:
    """A host that is allowed is tunnelled: its own certificate is what the client sees."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    with (
        answering(lambda _: b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nreal", context) as port,
        httpx.Client(proxy=running.url, verify=trust, trust_env=False) as http,
    ):
        assert http.get(f"https://localhost:{port}/").text == "real"


def test_an_allowed_host_gets_a_plain_request_as_its_own(running: Proxy) -> None:
    """A request for http:// at an allowed host arrives as if no proxy were there, and as the last one."""
    with answering(lambda got: b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + got) as port:
        head = f"POST http://localhost:{port}?q=1 HTTP/1.1\r\nHost: localhost\r\nProxy-Connection: x\r\n"
        answer = said(running, f"{head}Connection: keep-alive\r\ncontent-length: 2\r\n\r\nhi".encode())
    _, _, body = answer.partition(b"\r\n\r\n")
    assert body == b"POST /?q=1 HTTP/1.1\r\nHost: localhost\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi"


def test_an_allowed_host_that_is_not_there(running: Proxy) -> None:
    """A host that is allowed and cannot be reached is a bad gateway."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    answer = said(running, f"CONNECT localhost:{port} HTTP/1.1\r\n\r\n".encode())
    assert answer.startswith(f"HTTP/1.1 502 localhost:{port} cannot be reached: ".encode())


def test_a_tunnel_that_rests_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tunnel that carries nothing for long is ended."""
    monkeypatch.setattr(gate, "_IDLE_SECONDS", 0.01)
    with behind() as (_, opened), socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", int(opened.url.rpartition(":")[2])), timeout=20) as connection:
            connection.sendall(f"CONNECT localhost:{port} HTTP/1.1\r\n\r\n".encode())
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
            assert connection.recv(65536) == b""


# --- what is no request ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n\r\n",
        b"CONNECT api.kie.ai HTTP/1.1\r\n\r\n",
        b"CONNECT a b:443 HTTP/1.1\r\n\r\n",
        b"CONNECT api.kie.ai:443 HTTP/1.1\r\n\r\n\x16\x03\x01",
        b"GET ftp://api.kie.ai/ HTTP/1.1\r\n\r\n",
        b"GET http://[api/ HTTP/1.1\r\n\r\n",
        b"GET http:///x HTTP/1.1\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nx: " + b"x" * 2 * gate.MAX_HEAD_BYTES,
    ],
)
def test_what_is_no_request_is_refused(running: Proxy, data: bytes) -> None:
    """What asks the proxy for nothing that it does is a bad request."""
    assert said(running, data).startswith(b"HTTP/1.1 400 this is a proxy, and that is no request for one\r\n")


def test_whoever_leaves_before_having_asked(running: Proxy) -> None:
    """A connection that ends within its first head is closed without an answer."""
    assert said(running, b"CONNECT api.kie") == b""


def test_there_are_only_so_many_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the bound a connection is refused."""
    with behind() as (_, opened):
        monkeypatch.setattr(proxy, "MAX_CONNECTIONS", 0)
        assert said(opened, b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 503 there are 0 connections")


def test_a_connection_that_says_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tunnel in which no request comes is closed."""
    monkeypatch.setattr(proxy, "_KEEP_ALIVE_SECONDS", 0)
    with behind() as (_, opened):
        trust = ssl.create_default_context(cafile=opened.environment["SSL_CERT_FILE"])
        with socket.create_connection(("127.0.0.1", int(opened.url.rpartition(":")[2])), timeout=20) as connection:
            connection.sendall(b"CONNECT api.kie.ai:443 HTTP/1.1\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
            with trust.wrap_socket(connection, server_hostname="api.kie.ai") as line:
                assert line.recv(1) == b""


def test_the_end_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that has not finished its first head when the proxy ends is left without an answer."""
    monkeypatch.setattr(proxy, "_GRACE_SECONDS", 0)
    with behind() as (_, opened):
        connection = socket.create_connection(("127.0.0.1", int(opened.url.rpartition(":")[2])), timeout=20)
        connection.sendall(b"CONNECT")
        said(opened, b"hello\r\n\r\n")  # after which the other has been accepted, too
    with connection:
        assert connection.recv(1) == b""


def test_out_of_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """When a connection cannot be accepted the proxy tries again."""

    class Listener(socket.socket):
        tries = 0

        def accept(self) -> Any:
            Listener.tries += 1
            if Listener.tries == 1:
                raise OSError("too many open files")
            return super().accept()

    def listen(*_: Any) -> socket.socket:
        listener = Listener()
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        return listener

    monkeypatch.setattr(proxy, "listen", listen)
    monkeypatch.setattr(proxy, "_PAUSE_SECONDS", 0)
    monkeypatch.setattr("understudy.server.loop_factory", lambda: asyncio.new_event_loop)
    with behind() as (_, opened), client(opened) as http:
        assert http.get(f"{KIE}{CREDIT}", headers=key()).json()["data"] == 10000
    assert Listener.tries > 1


# --- trust ----------------------------------------------------------------------------------------------------------


def test_a_client_that_does_not_trust_us() -> None:
    """A client that breaks TLS off is counted, by the host that it asked for."""
    with (
        behind() as (_, opened),
        httpx.Client(proxy=opened.url, verify=ssl.create_default_context(), trust_env=False) as http,
    ):
        for _ in range(2):
            with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
                http.get("https://tempfile.aiquickdraw.com/x")
    assert opened.distrusted["tempfile.aiquickdraw.com"] == 2


def test_hosts_are_counted_up_to_a_bound(running: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound new hosts are not remembered, and those that are go on."""
    monkeypatch.setattr(running, "refused", type(running.refused)({"a.test": 1}))
    monkeypatch.setattr(proxy, "MAX_HOSTS", 1)
    for host in (b"a.test", b"b.test"):
        said(running, b"CONNECT %s:443 HTTP/1.1\r\n\r\n" % host)
    assert running.refused == {"a.test": 2}


def test_the_authority_speaks_for_the_providers_alone(running: Proxy) -> None:
    """The authority is good for a day, for the hosts of the providers, and for no address; no key is on the disk."""
    bundle = Path(running.environment["SSL_CERT_FILE"])
    pem = bundle.read_bytes()
    own = x509.load_pem_x509_certificate(pem[pem.rindex(b"-----BEGIN") :])
    limits = own.extensions.get_extension_for_class(x509.NameConstraints)
    assert limits.critical
    assert {name.value for name in limits.value.permitted_subtrees or ()} >= {"api.kie.ai", "file.shortapi.ai"}
    assert {str(name.value) for name in limits.value.excluded_subtrees or ()} == {"0.0.0.0/0", "::/0"}
    assert (own.not_valid_after_utc - own.not_valid_before_utc).total_seconds() <= LIFETIME_SECONDS + 3600
    assert own.not_valid_after_utc.timestamp() > SystemClock().now()
    assert [path.name for path in bundle.parent.iterdir()] == [bundle.name]
    assert b"PRIVATE KEY" not in pem


def test_another_name_by_our_authority_is_not_believed() -> None:
    """A certificate that the authority had signed for another host would not be believed."""
    made = certificates(["api.kie.ai"])
    trust = ssl.create_default_context(cadata=made.bundle.decode())
    for host, believed in (("api.kie.ai", True), ("example.com", False)):
        near, far = ssl.MemoryBIO(), ssl.MemoryBIO()
        line = trust.wrap_bio(near, far, server_hostname=host)
        server = made.tls.wrap_bio(far, near, server_side=True)
        with pytest.raises(ssl.SSLError) if not believed else pytest.raises(ssl.SSLWantReadError):
            for side in (line, server, line):
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    continue
            raise ssl.SSLWantReadError


def test_the_authorities_of_the_system(tmp_path: Path) -> None:
    """The bundle has the system's file, or else its folder, or else what certifi has."""
    (tmp_path / "file.pem").write_bytes(b"file")
    (tmp_path / "12345678.0").write_bytes(b"folder")
    rest = ("", "", "", "")
    paths = ssl.DefaultVerifyPaths
    assert _system_bundle(paths(str(tmp_path / "file.pem"), str(tmp_path), *rest)) == b"file"
    assert _system_bundle(paths(None, str(tmp_path), *rest)) == b"folder"  # type: ignore[arg-type]
    assert b"BEGIN CERTIFICATE" in _system_bundle(paths(None, None, *rest))  # type: ignore[arg-type]


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without trustme it is said what to install."""
    monkeypatch.setitem(sys.modules, "trustme", None)
    with serve("kie") as server, pytest.raises(UsageError, match=r"pip install 'understudy\[proxy\]'"), proxied(server):
        pass


def test_without_a_host(tmp_path: Path) -> None:
    """Where no provider has a host of its own there is nothing to stand in for."""
    changes = [(f"https://{host}.shortapi.ai", "http://localhost:1") for host in ("api", "file")]
    copy_of("shortapi", tmp_path, *changes)
    with (
        serve("shortapi", paths=[tmp_path]) as server,
        pytest.raises(UsageError, match="has a host of its own"),
        proxied(server),
    ):
        pass
