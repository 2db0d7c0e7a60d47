"""Couriers: one thread for each destination that has something due, so that none waits for another."""

from __future__ import annotations

import logging
import threading
import time
from typing import Protocol

from node.logs import log_failure

logger = logging.getLogger("radnode.delivery")


class Errands(Protocol):
    """What couriers are sent for: the objects of the outbox, or inquiries about those that were sent."""

    def peers_due(self) -> set[str]:
        """Return the peers that something is due for."""

    def send_due(self, peer_name: str) -> int:
        """Send one peer what is due."""

    def note_failure(self, peer_name: str) -> None:
        """Leave a peer alone for a while."""

    def stop(self) -> None:
        """Begin nothing else."""


class Couriers:
    """Sends what is due, to every destination at once and to each over one association at a time."""

    def __init__(self, errands: Errands) -> None:
        """Send what waits among `errands`; call `dispatch` every so often."""
        self._errands = errands
        self._threads: dict[str, threading.Thread] = {}

    def dispatch(self) -> None:
        """Send a courier to each peer that something is due for and none is on the way to."""
        for peer in self._errands.peers_due():
            courier = self._threads.get(peer)
            if courier is None or not courier.is_alive():
                self._threads[peer] = threading.Thread(
                    target=self._carry, args=(peer,), name=f"courier {peer}", daemon=True
                )
                self._threads[peer].start()

    def stop(self, timeout_seconds: float) -> None:
        """Let each courier finish the object on the wire, and begin no other; wait so long at most."""
        self._errands.stop()
        deadline = time.monotonic() + timeout_seconds
        for courier in self._threads.values():
            courier.join(max(0.0, deadline - time.monotonic()))

    def _carry(self, peer: str) -> None:
        try:
            self._errands.send_due(peer)
        except Exception as error:  # noqa: BLE001 - what one destination brings must not stop the others
            log_failure(logger, "courier failed", error, peer=peer)
            self._errands.note_failure(peer)
