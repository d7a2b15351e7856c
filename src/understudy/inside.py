"""What an isolated program is at first: it goes into a network of its own, and then becomes the program.

Started by `understudy.isolation`, with a socket to it, by which it is told what to do and says how it went. What it
opens belongs to the new network, whoever uses it: so it hands its sockets out, and nothing else leads in or out. Only
the standard library is imported here, and no more than is used.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import socket
import struct
import sys
from typing import Any, NoReturn

# linux/sched.h, linux/mount.h, linux/sockios.h and linux/if.h
_NEW_USER, _NEW_NET, _NEW_MOUNTS = 0x10000000, 0x40000000, 0x00020000
_BIND, _SLAVE, _RECURSIVE = 0x1000, 0x80000, 0x4000
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 0x1

# How long a program may take to accept a connection from outside, in seconds.
_CONNECT_SECONDS = 1.0

_MESSAGE_BYTES = 64 * 1024

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Go in, and become the program: `inside.py SOCKET PROGRAM ARGUMENT…`."""
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)  # so that it closes when the program has begun
    asked = json.loads(_heard(control))
    step = "a network of its own"
    try:
        _say(control, new_user=_unshare())
        _heard(control)  # the users are known in there now
        for source, target in asked["files"]:
            step = f"its own {target}"
            if os.path.exists(target):
                _call("mount", source.encode(), target.encode(), None, _BIND, None)
        step = "its own loopback"
        _loopback_up()
        for address, port in asked["listen"]:
            step = f"port {port} of {address}"
            with socket.create_server((address, port)) as listener:
                socket.send_fds(control, [b"{}"], [listener.fileno()])
        _open_door(control)
        for one in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores
            signal.signal(one, signal.SIG_DFL)
        step = ""
        os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 # it is what was asked for
    except OSError as error:
        _say(control, step=step, error=error.errno)
        sys.exit(2)


def _heard(control: socket.socket) -> bytes:
    return control.recv(_MESSAGE_BYTES) or sys.exit(2)  # whoever has started us is gone


def _say(control: socket.socket, **what: Any) -> None:
    control.send(json.dumps(what).encode())


def _call(name: str, *arguments: Any) -> None:
    if getattr(_libc, name)(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _unshare() -> bool:
    """Leave the network, and the mounts; say whether it took a new user namespace, as it does without privileges.

    With one, root cannot go back either; so it is tried for root, too.
    """
    try:
        _call("unshare", _NEW_USER | _NEW_NET | _NEW_MOUNTS)
    except OSError as error:
        try:
            _call("unshare", _NEW_NET | _NEW_MOUNTS)
        except OSError:
            raise error from None
        _call("mount", b"none", b"/", None, _SLAVE | _RECURSIVE, None)  # what is mounted in here is seen in here alone
        return False
    return True


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as some:
        name, flags = struct.unpack("16sh14x", fcntl.ioctl(some, _GET_FLAGS, struct.pack("16sh14x", b"lo", 0)))
        fcntl.ioctl(some, _SET_FLAGS, struct.pack("16sh14x", name, flags | _UP))


def _open_door(control: socket.socket) -> None:
    """Leave somebody behind who connects from in here to whom he is told, and hands the connections out."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    os.fork() or _step_aside(near, control, far)
    os.wait()
    socket.send_fds(control, [b"{}"], [far.fileno()])


def _step_aside(door: socket.socket, *others: socket.socket) -> NoReturn:
    """Become nobody's child, so that a program that waits for its children does not wait for us; then keep the door."""
    os.setsid()  # Ctrl-C is for the program
    os.fork() or _keep(door, *others)
    os._exit(0)


def _keep(door: socket.socket, *others: socket.socket) -> NoReturn:
    for one in others:
        one.close()
    while told := door.recv(_MESSAGE_BYTES):
        try:
            connection = socket.create_connection(json.loads(told), timeout=_CONNECT_SECONDS)
        except OSError:
            door.send(b"{}")
        else:
            with connection:
                socket.send_fds(door, [b"{}"], [connection.fileno()])
    os._exit(0)


main()
