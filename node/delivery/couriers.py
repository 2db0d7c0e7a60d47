"""Couriers: one thread for each destination that has something due, so that none waits for another."""

from __future__ import annotations

import logging
import threading
import time
from typing import Protocol

from node.logs import log_failure

logger = logging.getLogger("radnode.delivery")


class Outgoing(Protocol):
    """What waits for peers: results, or reports on what they asked us to keep."""

    def peers_due(self) -> set[str]:
        """Return the peers to send to now."""

    def send_due(self, peer_name: str) -> int:
        """Send what is due to one of them; return how much was tried."""

    def note_failure(self, peer_name: str) -> None:
        """Give a peer a pause after something went wrong with it."""

    def stop(self) -> None:
        """Begin nothing else; what is on the wire is finished."""


class Couriers:
    """Sends what is due, to every destination at once and to each over one association at a time."""

    def __init__(self, outbox: Outgoing) -> None:
        """Send what waits in `outbox`; call `dispatch` every so often."""
        self._outbox = outbox
        self._threads: dict[str, threading.Thread] = {}

    def dispatch(self) -> None:
        """Send a courier to each peer that something is due for and none is on the way to."""
        for peer in self._outbox.peers_due():
            courier = self._threads.get(peer)
            if courier is None or not courier.is_alive():
                self._threads[peer] = threading.Thread(
                    target=self._carry, args=(peer,), name=f"courier {peer}", daemon=True
                )
                self._threads[peer].start()

    def stop(self, timeout_seconds: float) -> None:
        """Let each courier finish the object on the wire, and begin no other; wait so long at most."""
        self._outbox.stop()
        deadline = time.monotonic() + timeout_seconds
        for courier in self._threads.values():
            courier.join(max(0.0, deadline - time.monotonic()))

    def _carry(self, peer: str) -> None:
        try:
            self._outbox.send_due(peer)
        except Exception as error:  # noqa: BLE001 - what one destination brings must not stop the others
            log_failure(logger, "courier failed", error, peer=peer)
            self._outbox.note_failure(peer)
