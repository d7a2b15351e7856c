"""A live server: providers on a socket, for programs in any language, with a page to look at."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Any, Self

import anyio.to_thread
import uvicorn

from understudy.admin import Admin
from understudy.carrier import Carrier
from understudy.clock import Clock, SystemClock
from understudy.connection import Connection
from understudy.courier import Courier
from understudy.directory import Addresses
from understudy.errors import UnderstudyError, UsageError
from understudy.folders import Paths
from understudy.listen import Server, listen, loop_factory, shown_host
from understudy.logbook import Logbook
from understudy.pump import Pump
from understudy.reach import is_loopback
from understudy.roster import Roster
from understudy.sides import Sides

if TYPE_CHECKING:
    from understudy.contract.catalogue import Transport
    from understudy.provider import Provider

#: How often files are compared under `reload`, in real seconds.
RELOAD_SECONDS = 1.0


def serve(
    *providers: str,
    host: str = "127.0.0.1",
    port: int = 0,
    asset_port: int = 0,
    scenario: str | None = None,
    errors: Transport | None = None,
    balance: float | None = None,
    callback_url: str | None = None,
    speed: float = 1.0,
    clock: Clock | None = None,
    allow_callbacks: Iterable[str] = (),
    seed: int = 0,
    paths: Paths = (),
    reload: bool = False,
    quiet: bool = True,
) -> LiveServer:
    """Play providers on a socket of this machine, in a thread of its own.

    Args:
        *providers: Their names, or paths to their contract folders; none for all that are found.
        host: The address to listen on. One that is not loopback lets others in, to the admin API too.
        port: Where the providers answer; 0 for any that is free.
        asset_port: Where links to result files lead; 0 for any that is free.
        scenario: The name of the story that is played by those that have it; None for the usual.
        errors: How errors come from those that can send them so: `body` or `http`; None for the contracts' defaults.
        balance: What accounts start with, in each provider's unit; None for what is usual.
        callback_url: Where callbacks go of jobs whose create names no address, from those that send them there.
        speed: Seconds of the providers' time in one second; 1 by default.
        clock: In place of one that runs by `speed`. A virtual one moves only by `LiveServer.advance`.
        allow_callbacks: Hosts that callbacks may be sent to beside loopback.
        seed: From which ids are minted.
        paths: Folders with `contracts/` and `fakes/` to look in before the working directory.
        reload: Whether a provider is loaded anew, and its jobs forgotten, when one of its files changes.
        quiet: Whether only trouble is logged.

    Returns:
        The server, which answers already; it stops at the end of a `with` block, or by `close()`.

    Raises:
        UsageError: There is no such provider, scenario or error transport, or no such address to listen on.
        ContractInvalid: Files of a provider cannot be used.

    Example:
        >>> import httpx, understudy
        >>> with understudy.serve("kie") as server:
        ...     reply = httpx.get(server.url_of("kie") + "/api/v1/chat/credit", headers={"authorization": "Bearer key"})
        >>> reply.json()["data"]
        10000
    """
    if not 0 < speed < float("inf"):
        raise UsageError(f"the speed has to be above 0, and is {speed:g}")
    time = SystemClock(speed) if clock is None else clock
    log = Logbook(time, quiet=quiet)
    server = LiveServer(time, log, allow_callbacks, reload=reload)
    roster = Roster(
        providers,
        clock=time,
        send=server.courier.send,
        seed=seed,
        scenario=scenario,
        errors=errors,
        balance=balance,
        callback_url=callback_url,
        paths=paths,
    )
    server.start(roster, host, port, asset_port)
    return server


class LiveServer:
    """Providers on a socket; made by `serve`.

    Attributes:
        clock: By which the providers act; to move it, use `advance`.
        roster: The providers.
        courier: Carries their callbacks.
        ports: Where requests come in.
    """

    roster: Roster
    ports: tuple[int, ...]

    def __init__(self, clock: Clock, log: Logbook, allow_callbacks: Iterable[str], *, reload: bool) -> None:
        self.clock = clock
        self.courier = Courier(allow_callbacks, self._tell, log.defect)
        self._log = log
        self._reload = reload
        self._loop: Future[asyncio.AbstractEventLoop] = Future()  # there once the thread runs
        self._down_until = 0.0
        self._pump = Pump(clock, self, log, self._tell, self._stop)

    # --- where it is ---

    @property
    def url(self) -> str:
        """Where the providers answer, each below its name."""
        return self._addresses.url

    @property
    def asset_url(self) -> str:
        """Where links to result files lead."""
        return self._addresses.asset_url

    def url_of(self, provider: str) -> str:
        """Return the base URL of a provider, to be used in place of its real one.

        Raises:
            UsageError: It is not played here.
        """
        role = self.roster.role(provider)
        return f"{self.url}/{role.name}{role.base_path}"

    def provider(self, name: str) -> Provider:
        """Return the stand-in of a provider: its jobs, accounts and journal.

        Raises:
            UsageError: It is not played here.
        """
        return self.roster.role(name).provider

    def advance(self, seconds: float) -> None:
        """Move the clock, and do what falls due; return when it is done."""

        async def moved() -> None:
            self.clock.advance(seconds)
            self._tell()

        asyncio.run_coroutine_threadsafe(moved(), self._loop.result()).result()

    def share_clock(self) -> None:
        """Leave a virtual clock to who else moves it, from now on; a request that waits moves it where nobody does."""
        self._pump.share()

    def beside(self, start: Callable[[Logbook], Coroutine[Any, Any, None]]) -> None:
        """Run what works beside it in its event loop, with its log: see `understudy.proxy`."""
        asyncio.run_coroutine_threadsafe(start(self._log), self._loop.result()).result()

    def count(self, carrier: Carrier, port: int) -> None:
        """Count the requests that come in beside it as its own, for whoever moves the clock."""
        self._carriers.append(carrier)
        self.ports = (*self.ports, port)

    # --- on a clock that others move, too: see `understudy.virtual_loop.Peer` ---

    def busy(self) -> bool:
        """Say whether it is at work: at an answer that does not wait for the clock, or at a callback."""
        return any(carrier.at_work for carrier in self._carriers) or self.courier.under_way > 0

    def parked(self) -> int:
        """Return how many requests wait for nothing but the clock."""
        return sum(carrier.parked for carrier in self._carriers)

    def minded(self, waiting: Callable[[], int]) -> AbstractContextManager[None]:
        """Let an event loop move the clock for those requests that wait in it; it says how many."""
        return self._pump.minded(waiting)

    # --- its life ---

    def start(self, roster: Roster, host: str, port: int, asset_port: int) -> None:
        """Listen, and answer in a thread of its own; called once, by `serve`."""
        self.roster = roster
        sockets = [listen(host, port, "port")]
        try:
            sockets.append(listen(host, asset_port, "asset port"))
        except UsageError:
            sockets[0].close()
            raise
        if not is_loopback(host):
            self._log.trouble(f"listening on {host}: whoever reaches this machine can use it, the admin API too")
        self._host = host
        self._addresses = Addresses(shown_host(sockets[0]), *(one.getsockname()[1] for one in sockets))
        self.ports = (self._addresses.port, self._addresses.asset_port)
        self._carrier = Carrier(roster, self.clock, self._log, self._addresses, self)
        self._carriers = [self._carrier]
        self._server = Server(
            uvicorn.Config(
                Sides(self._carrier, Admin(roster, self.clock, self._log, self._addresses).app()),
                interface="asgi3",
                http=Connection,
                proxy_headers=False,  # a client is who it is, whatever it says: its connection may have to be cut
                ws="none",
                lifespan="off",
                access_log=False,
                server_header=False,
                log_config=None,
            )
        )
        self._thread = threading.Thread(target=self._run, args=(sockets,), name="understudy", daemon=True)
        self._thread.start()
        self._loop.result()

    def close(self) -> None:
        """Stop, within half a second, whatever clients do; a second time does nothing."""
        with suppress(RuntimeError):  # it has stopped
            self._loop.result().call_soon_threadsafe(self._stop)
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # --- in its thread ---

    def hang_up(self, client: tuple[str, int], *, reset: bool) -> None:
        """See `understudy.carrier.Line`."""
        self._server.hang_up(client, reset=reset)

    def go_down(self, until: float) -> None:
        """See `understudy.carrier.Line`."""
        loop = asyncio.get_running_loop()
        self._down_until = max(self._down_until, until)

        def over() -> None:
            if self.clock.now() >= self._down_until:  # or another outage began meanwhile
                with suppress(RuntimeError):  # the server has stopped, and the clock goes on
                    loop.call_soon_threadsafe(self._come_back)

        self.clock.call_at(until, over)
        if self._server.stop_listening():
            self._log.note("nobody listens any more: an outage")

    def _come_back(self) -> None:
        self._back = asyncio.get_running_loop().create_task(self._listen_again())

    async def _listen_again(self) -> None:
        try:
            sockets = [listen(self._host, port, "port") for port in (self._addresses.port, self._addresses.asset_port)]
        except UsageError as error:
            self._log.trouble(f"the outage does not end: {error}")
            return
        await self._server.startup(sockets)
        self._log.note("the outage is over")

    def _run(self, sockets: list[socket.socket]) -> None:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(self._main(sockets))

    async def _main(self, sockets: list[socket.socket]) -> None:
        loop = asyncio.get_running_loop()
        before = self.clock.changed

        def changed() -> None:
            before()
            with suppress(RuntimeError):  # the server has stopped, and the clock goes on
                loop.call_soon_threadsafe(self._pump.wake)

        self.clock.changed = changed
        self.courier.open()
        tasks = [loop.create_task(self._pump.run())]
        if self._reload:
            tasks.append(loop.create_task(self._watch()))
        self._loop.set_result(loop)
        try:
            await self._server.serve(sockets)
        finally:
            if self.clock.changed is changed:
                self.clock.changed = before
            for task in tasks:
                task.cancel()
            await self.courier.close()

    async def _watch(self) -> None:
        """Load providers anew when their files change."""
        machine = SystemClock()
        while True:
            await machine.sleep_async(RELOAD_SECONDS)
            for role in self.roster.outdated():
                try:
                    await anyio.to_thread.run_sync(role.reload)  # takes its time
                    for carrier in self._carriers:
                        carrier.forget()
                except (UnderstudyError, OSError) as error:
                    self._log.trouble(f"{role.name} stays as it was:\n{error}")
                else:
                    self._log.note(f"{role.name} was loaded anew; its jobs are forgotten")

    def _tell(self) -> None:
        for role in self.roster.playing():
            self._log.news(role)

    def _stop(self) -> None:
        self._carrier.stop()
        self._server.stop()
