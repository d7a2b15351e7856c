"""A server in the foreground of a terminal: it says where it is, and serves until somebody stops it."""

from __future__ import annotations

import gc
import queue
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from understudy import __version__

if TYPE_CHECKING:
    from understudy.proxy import Proxy
    from understudy.server import LiveServer

# A server keeps most of what it makes for a while: it need not look for garbage after every few requests.
_GC_THRESHOLD = (20_000, 20, 20)


def run(
    *,
    providers: Sequence[str],
    port: int,
    asset_port: int | None,
    allow_callback: Sequence[str],
    proxy: bool,
    **options: Any,
) -> int:
    """Serve until Ctrl-C or SIGTERM.

    Args:
        providers: Who is played; all that are found where it is empty.
        port: Where to listen; 0 for any port that is free.
        asset_port: Where links to result files lead; the next one by default.
        allow_callback: Hosts that may be called beside loopback.
        proxy: Whether to stand in for the providers' real hosts, too: a proxy on the second port after the first.
        **options: Those of `understudy.serve`.

    Returns:
        The exit code.

    Raises:
        UsageError: As `understudy.serve` and `understudy.proxy.proxied` raise it.
    """
    with stop_asked() as stop:
        from understudy.server import serve

        asset_port = (port and port + 1) if asset_port is None else asset_port
        with ExitStack() as stack:
            server = stack.enter_context(
                serve(*providers, port=port, asset_port=asset_port, allow_callbacks=allow_callback, **options)
            )
            beside = None
            if proxy:
                from understudy.proxy import proxied

                beside = stack.enter_context(proxied(server, port=port and port + 2))
            print(_banner(server, beside), flush=True)
            settle()
            wait(stop)
    return 0


@contextmanager
def stop_asked() -> Iterator[queue.SimpleQueue[int]]:
    """Return a queue that gets Ctrl-C and SIGTERM.

    It is not an event: a handler runs amid whatever the main thread does, and an event that is set amid its own `wait`
    waits for itself. This queue may be filled at any moment.
    """
    stop: queue.SimpleQueue[int] = queue.SimpleQueue()
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(one, lambda number, _: stop.put(number)) for one in signals]
    try:
        yield stop
    finally:
        for one, handler in zip(signals, before, strict=True):
            signal.signal(one, handler)


def wait(stop: queue.SimpleQueue[int]) -> None:
    """Wait until somebody asks for an end; on Windows a wait without end cannot be interrupted."""
    while True:
        with suppress(queue.Empty):
            stop.get(timeout=0.2)
            return


def settle() -> None:
    """Have a process that does nothing but serve look for nothing in vain."""
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLD)
    if find_spec("sniffio") is None:  # httpcore imports it four times for each callback, and a failure is not kept
        sys.modules["sniffio"] = None  # type: ignore[assignment] # which says that there is none


def _banner(server: LiveServer, proxy: Proxy | None) -> str:
    rows = [(role.name, server.url_of(role.name)) for role in server.roster]
    rows += [("files", server.asset_url), ("admin", f"{server.url}/__admin/")]
    if proxy is not None:
        rows.append(("proxy", f'{proxy.url}: eval "$(understudy env --proxy {proxy.url})"'))
    rows.append(("key", "any, each is an account of its own"))
    stories: dict[str, list[str]] = {}
    for role in server.roster:
        if role.scenario is not None:
            stories.setdefault(role.scenario, []).append(role.name)
    rows += [("scenario", f"{story} ({', '.join(names)})") for story, names in stories.items()]
    width = max(len(name) for name, _ in rows)
    lines = [f"  {name:<{width}}  {text}" for name, text in rows]
    return "\n".join([f"understudy {__version__}", *lines, "Ctrl-C stops it."])
