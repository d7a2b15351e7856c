"""How a live server listens, and how it stops: its sockets, its event loop, and uvicorn's server."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Callable
from contextlib import suppress

import uvicorn

from understudy.clock import SystemClock
from understudy.connection import Connection, Turn
from understudy.errors import UsageError

# At a stop, clients have so long to let go, in real seconds, and are looked after so often.
_GRACE_SECONDS = 0.2
_LOOK_SECONDS = 0.005

# Connections that wait to be accepted; as uvicorn has it.
_BACKLOG = 2048

# What is to be chosen where it is not the port that is wrong.
_HOST = "host: an address of this machine, such as 127.0.0.1"


class Server(uvicorn.Server):
    """uvicorn's server, but one that stops at once: uvicorn's own looks ten times a second whether it should.

    Args:
        config: As uvicorn has it.
    """

    server_state: Turn

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.server_state = Turn()
        self._asked = asyncio.Event()

    def stop(self) -> None:
        """Ask it to stop; called in its event loop."""
        self.should_exit = True
        self._asked.set()

    async def main_loop(self) -> None:
        while not await self.on_tick(0):  # which puts the time into the headers of replies
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._asked.wait()

    def hang_up(self, client: tuple[str, int], *, reset: bool) -> None:
        """End the connection of a client: by a TCP reset, or by closing it when all that was sent has gone."""
        for connection in self._connections():
            if connection.client == client:
                connection.hang_up(reset=reset)

    def stop_listening(self) -> bool:
        """Refuse connections, and reset those that there are; say whether anybody listened."""
        listened = any(server.is_serving() for server in self.servers)
        for server in self.servers:
            server.close()
        for connection in self._connections():
            connection.hang_up(reset=True)
        return listened

    def _connections(self) -> list[Connection]:
        return [connection for connection in self.server_state.connections if isinstance(connection, Connection)]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        self.server_state.answer()  # those that have asked by now
        for connection in tuple(self.server_state.connections):
            connection.shutdown()
        machine = SystemClock()
        end = machine.now() + _GRACE_SECONDS
        while self.server_state.connections and machine.now() < end:
            await machine.sleep_async(_LOOK_SECONDS)
        for connection in tuple(self.server_state.connections):
            connection.transport.abort()  # it reads no more, or never ends its request


def listen(host: str, port: int, option: str) -> socket.socket:
    """Open a socket to listen on.

    Args:
        host: A name or an address of this machine.
        port: 0 for any that is free.
        option: What the port is called where it was asked for.

    Raises:
        UsageError: There is no such address, or it is taken.
    """
    if not 0 <= port <= 65535:
        raise UsageError(f"{option} is {port}, and has to be from 0 to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        reason = "another program listens there, or this one does" if taken else str(error)
        choice = f"{option}; 0 is any that is free" if taken or error.errno == errno.EACCES else _HOST
        raise UsageError(
            f"cannot listen on port {port} of {host or 'this machine'}: {reason}.\n  Choose another {choice}."
        ) from None


def shown_host(listener: socket.socket) -> str:
    """Return the address as a URL names it, from where it can be reached for certain."""
    address = ipaddress.ip_address(listener.getsockname()[0])
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "[::1]"
    return str(address) if address.version == 4 else f"[{address}]"


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes an event loop: uvloop's, where there is one."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
