"""A small PACS on this machine: it takes what is sent over C-STORE, keeps it and can be asked for it."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path
from types import TracebackType

from pydicom.uid import UID
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt
from pynetdicom.events import Event, EventHandlerType
from pynetdicom.transport import ThreadedAssociationServer

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700

VERIFICATION = UID("1.2.840.10008.1.1")
LOOPBACK = "127.0.0.1"
END_SECONDS = 10.0
LOOK_SECONDS = 0.01


def end_entity(entity: AE, patience_seconds: float) -> None:
    """Shut a server of pynetdicom down when its associations have noticed that they are over, or after a while.

    One that is aborted as it ends breaks in a thread of its own.
    """
    deadline = time.monotonic() + patience_seconds
    while entity.active_associations and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
    entity.shutdown()


class SmallPacs:
    """A storage and verification SCP on the loopback address, run as a context manager; port 0 is any free one.

    Every instance it answers with success lies in `folder` as a Part 10 file named by the order of
    arrival. One that is sent twice is kept twice, so that a sender's mistake can be seen.
    """

    def __init__(self, folder: Path, ae_title: str = "SMALLPACS", port: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.ae_title = ae_title
        self._wanted_port = port
        self._folder = folder
        self._kept: list[Path] = []
        self._arrival = threading.Condition()
        self._entity = AE(ae_title)
        self._entity.add_supported_context(VERIFICATION)
        for context in AllStoragePresentationContexts:
            self._entity.add_supported_context(str(context.abstract_syntax), ALL_TRANSFER_SYNTAXES)
        self._server: ThreadedAssociationServer | None = None

    def __enter__(self) -> SmallPacs:
        handlers: list[EventHandlerType] = [(evt.EVT_C_STORE, self._store)]
        server = self._entity.start_server((LOOPBACK, self._wanted_port), block=False, evt_handlers=handlers)
        if server is None or server.socket is None:
            raise RuntimeError(f"{self.ae_title}: pynetdicom opened no listener on {LOOPBACK}")
        # Accepted sockets inherit it; without it every small response waits for a delayed ACK.
        server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._server = server
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end_entity(self._entity, END_SECONDS)
        self._server = None

    @property
    def port(self) -> int:
        """The port it listens on; raises RuntimeError before it is entered."""
        if self._server is None:
            raise RuntimeError(f"{self.ae_title}: is not listening; enter it with `with` first")
        return int(self._server.server_address[1])

    def received(self) -> list[Path]:
        """Return the files of all instances kept so far, in the order they arrived."""
        with self._arrival:
            return list(self._kept)

    def wait_for(self, count: int, timeout_seconds: float) -> bool:
        """Wait until `count` instances are kept in all; say whether they came in time."""
        with self._arrival:
            return self._arrival.wait_for(lambda: len(self._kept) >= count, timeout_seconds)

    def _store(self, event: Event) -> int:
        """Answer C-STORE; success means the instance is on disk."""
        with self._arrival:
            path = self._folder / f"{len(self._kept) + 1:06}.dcm"
            try:
                _write_durably(path, event.encoded_dataset())
            except OSError:
                return OUT_OF_RESOURCES
            self._kept.append(path)
            self._arrival.notify_all()
        return SUCCESS


def _write_durably(path: Path, content: bytes) -> None:
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
