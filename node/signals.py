"""The signals that tell a process to end, whichever of its threads they land in."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def end_signals() -> Iterator[Callable[[], object]]:
    """Hear SIGTERM and Ctrl-C from now on, and give what returns once there was one; for the main thread alone.

    The kernel may deliver a signal to any thread (signal(7)), and only a wait in that very thread is broken off by it.
    So the interpreter is told to write each signal to a socket, which wakes the thread that reads there.
    """
    told, teller = socket.socketpair()
    with told, teller:
        teller.setblocking(False)  # as `set_wakeup_fd` asks for
        signal.set_wakeup_fd(teller.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _written_already)
        try:
            yield lambda: told.recv(1)
        finally:
            signal.set_wakeup_fd(-1)


def _written_already(*_: object) -> None:
    """Do nothing: without a handler of ours the interpreter would write nothing."""
