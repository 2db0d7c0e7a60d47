"""A network that only this process and those it starts can reach, for peers that listen on every address."""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
import time

LOOPBACK = "127.0.0.1"
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET of unshare(2)
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 1  # SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP of netdevice(7)


def leave_network() -> bool:
    """Move this thread, and all it starts from now on, to a network of nothing but loopback; say whether it could.

    Root may. There is no way back.
    """
    if ctypes.CDLL(None, use_errno=True).unshare(_NEW_NETWORK):
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        asked = fcntl.ioctl(any_socket, _GET_FLAGS, struct.pack("16sh22x", b"lo", 0))
        (flags,) = struct.unpack_from("h", asked, 16)
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh22x", b"lo", flags | _UP))
    return True


def free_port() -> int:
    """Return a port of loopback that nothing listens on."""
    with socket.create_server((LOOPBACK, 0)) as server:
        return int(server.getsockname()[1])


def answers(port: int, timeout_seconds: float) -> bool:
    """Wait until something listens on a port of loopback; say whether it came to that."""
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection((LOOPBACK, port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False
