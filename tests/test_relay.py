"""Tests of the relay that `understudy record` puts between a program and a provider."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from understudy.errors import UsageError
from understudy.record.relay import Relay, relayed
from understudy.record.tape import Seen


class Odd(BaseHTTPRequestHandler):
    """A provider that answers as few do."""

    def do_GET(self) -> None:
        body = {"/packed": gzip.compress(b'{"a": 1}'), "/wrong": b"no gzip", "/long": b"x" * 200_000}.get(
            self.path, b"cut"
        )
        self.send_response_only(302 if self.path == "/moved" else 200)
        if self.path in ("/packed", "/wrong"):
            self.send_header("content-encoding", "gzip")
        self.send_header("location", "http://other.test/")
        self.send_header("content-length", str(len(body) + (10 if self.path == "/cut" else 0)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def odd_relay() -> Iterator[Relay]:
    """A relay to an odd provider."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Odd) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        with relayed([f"http://127.0.0.1:{server.server_address[1]}"]) as relay:
            yield relay
        server.shutdown()


def test_answers_come_as_they_are():
    """What is packed is carried so and kept unpacked, a redirect is passed on, and what breaks off does so."""
    with odd_relay() as odd:
        assert httpx.get(f"{odd.url}/packed").json() == {"a": 1}
        moved = httpx.get(f"{odd.url}/moved")
        assert (moved.status_code, moved.headers["location"]) == (302, "http://other.test/")
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"{odd.url}/cut")
        with pytest.raises(httpx.DecodingError):
            httpx.get(f"{odd.url}/wrong")
    assert [seen.answer for seen in odd.tape if isinstance(seen, Seen)] == [b'{"a": 1}', b"cut", b"cut", b""]


def test_what_is_too_much_is_carried_and_not_kept(monkeypatch: Any):
    """Beyond the bounds all is carried, and counted."""
    monkeypatch.setattr("understudy.record.relay.MAX_KEPT", 1)
    monkeypatch.setattr("understudy.record.relay.MAX_KEPT_BYTES", 1)
    with odd_relay() as odd:
        for _ in range(3):
            assert len(httpx.get(f"{odd.url}/long").content) == 200_000
        (seen,) = odd.tape
        assert isinstance(seen, Seen)
        assert len(seen.answer) < seen.size == 200_000
        assert odd.lost == 2


def test_a_port_that_is_taken_is_told_of():
    """Where another program has the port of the callbacks, nothing is left open."""
    with relayed(["http://127.0.0.1:9"]) as relay:
        taken = int(relay.callback_url.rpartition(":")[2].partition("/")[0])
        with (
            pytest.raises(UsageError, match="another program listens there"),
            relayed(["http://127.0.0.1:9"], callback_port=taken),
        ):
            pass
