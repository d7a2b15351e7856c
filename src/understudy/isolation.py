"""Isolation: a program in a network of its own (Linux): the providers' names lead here, and nothing leads out."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import re
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from understudy.errors import UsageError

# Each host has an address of its own in there, so that a connection tells by itself whom it is to.
_FIRST_ADDRESS = ipaddress.IPv4Address("127.77.0.1")

_PORTS = (443, 80)
_MESSAGE_BYTES = 64 * 1024

# Where programs look for the authorities that this machine trusts: Debian, Fedora, SUSE, Alpine.
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)

# What may forbid namespaces: a setting of the kernel, the value that does, and one that does not.
_SETTINGS = (
    ("user.max_user_namespaces", "0", "10000"),
    ("kernel.unprivileged_userns_clone", "0", "1"),
    ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
)


class Entrance(NamedTuple):
    """Where connections come in from there.

    Attributes:
        listener: A socket that listens in there.
        host: Whom its connections are to; empty for the proxy.
        port: Its port.
    """

    listener: socket.socket
    host: str
    port: int


class Room:
    """A network of its own, for one program.

    Args:
        hosts: The names that lead to an entrance each, on the ports of HTTP and HTTPS.
        port: Of the proxy, which is found in there, too.
        bundle: The file with the authorities that are to be trusted.

    Attributes:
        way_in: What stands before a command so that it goes in there.
        descriptor: What has to be passed to it, too.

    Raises:
        UsageError: This is not Linux.
    """

    def __init__(self, hosts: Sequence[str], port: int, bundle: Path) -> None:
        if sys.platform != "linux":
            raise UsageError("--isolated needs Linux: other systems have no network namespaces")
        self._addresses = {host: str(_FIRST_ADDRESS + index) for index, host in enumerate(hosts)}
        self._port, self._bundle = port, bundle
        self._near, self._far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.descriptor = self._far.fileno()
        self.way_in = [sys.executable, "-P", "-m", "understudy.inside", str(self.descriptor)]
        self._door: socket.socket | None = None
        self._opened: list[socket.socket] = []
        self._asking = threading.Lock()

    def settle(self, pid: int) -> list[Entrance]:
        """Help a process on its way in, until it has become the command or has ended.

        Raises:
            UsageError: This machine does not allow it.
            OSError: The command cannot be run.
        """
        self._far.close()
        wanted = [("", "127.0.0.1", self._port)]
        wanted += [(host, address, port) for host, address in self._addresses.items() for port in _PORTS]
        with self._near, TemporaryDirectory(prefix="understudy-") as folder, suppress(ConnectionError):
            asked = {"files": [*self._files(Path(folder))], "listen": [(address, port) for _, address, port in wanted]}
            self._near.send(json.dumps(asked).encode())
            while (told := self._told()) is not None:
                if told.get("new_user"):
                    _map_users(pid)
                if "new_user" in told:
                    self._near.send(b"!")
                if "error" in told:
                    raise _complaint(**told)
        if len(self._opened) <= len(wanted):  # it has ended on its way
            return []
        *listeners, self._door = self._opened
        self._opened = []
        return [Entrance(one, host, port) for one, (host, _, port) in zip(listeners, wanted, strict=True)]

    def _told(self) -> dict[str, Any] | None:
        """Return what is told next, and keep what comes with it; None when there is no more."""
        data, descriptors, _, _ = socket.recv_fds(self._near, _MESSAGE_BYTES, 1)
        self._opened += [socket.socket(fileno=one) for one in descriptors]
        return json.loads(data) if data else None

    async def connect(self, host: str, port: int) -> socket.socket:
        """Connect to a program in there.

        Raises:
            ConnectionRefusedError: Nobody listens.
        """
        return await asyncio.to_thread(self._connected, host, port)

    def _connected(self, host: str, port: int) -> socket.socket:
        with self._asking:
            if self._door is None:
                raise ConnectionRefusedError
            self._door.send(json.dumps([host, port]).encode())
            _, descriptors, _, _ = socket.recv_fds(self._door, _MESSAGE_BYTES, 1)
        if not descriptors:
            raise ConnectionRefusedError
        return socket.socket(fileno=descriptors[0])

    def close(self) -> None:
        """Close the way in; the room stays for as long as a program is in there."""
        with self._asking:
            for one in filter(None, (self._near, self._far, self._door, *self._opened)):
                one.close()
            self._door = None

    def _files(self, folder: Path) -> Iterator[tuple[str, str]]:
        """Write the files that are other ones in there, and return each with the place where it is found."""
        names = [("127.0.0.1", f"localhost {socket.gethostname()}"), ("::1", "localhost")]
        names += [(address, host) for host, address in self._addresses.items()]
        hosts, switch = Path("/etc/hosts"), Path("/etc/nsswitch.conf")
        ours = "".join(f"{address} {host}\n" for address, host in names)
        texts = {hosts: ours + _text(hosts), switch: re.sub(r"(?m)^hosts:.*$", "hosts: files", _text(switch))}
        for place, text in texts.items():
            file = folder / place.name
            file.write_text(text, encoding="utf-8")
            file.chmod(0o644)  # the program may become another user
            yield str(file), str(place)
        yield from ((str(self._bundle), place) for place in _BUNDLES)
        yield "/dev/null", "/run/nscd/socket"  # which would look names up outside


def _map_users(pid: int) -> None:
    """Have all users be themselves in the user namespace of a process; where we may not, the one that we are."""
    for kind, own in (("uid", os.geteuid()), ("gid", os.getegid())):
        place = Path(f"/proc/{pid}/{kind}_map")
        known = [line.split() for line in _text(Path(f"/proc/self/{kind}_map")).splitlines()]
        try:
            place.write_text("".join(f"{first} {first} {count}\n" for first, _, count in known))
        except PermissionError:
            try:
                if kind == "gid":
                    Path(f"/proc/{pid}/setgroups").write_text("deny")  # it is the kernel's condition
                place.write_text(f"{own} {own} 1\n")
            except OSError as error:
                raise _complaint("its users", error.errno or 0) from None


def _complaint(step: str, error: int) -> Exception:
    """Say why a command could not go in there; without a step it is the command that cannot be run."""
    if not step:
        return OSError(error, os.strerror(error))
    found = [(name, bad, good) for name, bad, good in _SETTINGS if _setting(name) == bad]
    got = ", ".join(f"{name} = {bad}" for name, bad, _ in found) or "neither"
    do = [f"`sudo sysctl {name}={good}`" for name, _, good in found]
    do = do or ["start a container with `--privileged`; elsewhere `run` as root"]
    return UsageError(
        f"this machine does not let the program be isolated: {os.strerror(error)}\n"
        f"  where: --isolated, at {step}\n"
        f"  expected: user namespaces, or the rights of root; got: {got}\n"
        f"  do: {', '.join(do)}; or leave --isolated out, and variables lead the client"
    )


def _setting(name: str) -> str:
    return _text(Path("/proc/sys", *name.split("."))).strip()


def _text(path: Path) -> str:
    """Return what is in a file; nothing where there is none."""
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
