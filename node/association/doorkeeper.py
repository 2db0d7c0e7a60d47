"""The doorkeeper: judges each association request, and counts those that are inside."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

from pynetdicom.acse import ACSE
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE

from node.association.allowlist import AllowList, Caller, Rejection

RECORDED_PER_MINUTE = 100


class Doorkeeper:
    """Lets associations in up to a limit in all and one for each peer; only established ones count."""

    def __init__(self, allow_list: AllowList, max_associations: int, max_associations_per_peer: int) -> None:
        self._allow_list = allow_list
        self._limit = max_associations
        self._limit_per_peer = max_associations_per_peer
        self._lock = threading.Lock()
        self._inside: Counter[tuple[str, str]] = Counter()

    def admit(self, caller: Caller) -> Rejection | None:
        """Count a caller in and return None, or return why it is rejected."""
        rejection = self._allow_list.judge(caller)
        if rejection is not None:
            return rejection
        with self._lock:
            if self._inside.total() >= self._limit:
                return Rejection.TOO_MANY
            if self._inside[_peer(caller)] >= self._limit_per_peer:
                return Rejection.TOO_MANY_OF_PEER
            self._inside[_peer(caller)] += 1
        return None

    def dismiss(self, caller: Caller) -> None:
        """Count a caller out that was admitted."""
        with self._lock:
            self._inside[_peer(caller)] -= 1
            self._inside += Counter()  # forget who has none


def _peer(caller: Caller) -> tuple[str, str]:
    return caller.calling_ae_title, caller.address


class GuardedAcse(ACSE):
    """Negotiates associations, but only those that the doorkeeper admits."""

    def __init__(
        self,
        association: Association,
        doorkeeper: Doorkeeper,
        note_rejection: Callable[[Caller, Rejection], None],
    ) -> None:
        """Tell `note_rejection` of each caller that is sent away."""
        super().__init__(association)
        self._doorkeeper = doorkeeper
        self._note_rejection = note_rejection
        self._admitted: Caller | None = None

    def leave(self) -> None:
        """Count the association out, if it was in."""
        if self._admitted is not None:
            self._doorkeeper.dismiss(self._admitted)
            self._admitted = None

    def _negotiate_as_acceptor(self) -> None:
        """Negotiate, or answer A-ASSOCIATE-RJ (PS3.8 9.3.4); what is no request ends the connection."""
        request = self.requestor.primitive
        if not isinstance(request, A_ASSOCIATE):
            self.assoc.kill()
            return
        caller = Caller(
            calling_ae_title=request.calling_ae_title.strip(),
            called_ae_title=request.called_ae_title.strip(),
            address=self.requestor.address or "",
        )
        rejection = self._doorkeeper.admit(caller)
        if rejection is None:
            self._admitted = caller
            super()._negotiate_as_acceptor()
            return
        self.send_reject(*rejection.code)
        self._note_rejection(caller, rejection)
        self.assoc.kill()


class RejectionQuota:
    """Bounds how many rejections are recorded in a minute, so that a stranger cannot fill the disk."""

    def __init__(self, per_minute: int = RECORDED_PER_MINUTE, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._since = monotonic()
        self._recorded = 0
        self._left_out = 0

    def take(self) -> int | None:
        """Return how many were left out since the last one recorded, or None to leave out this one."""
        with self._lock:
            if self._monotonic() - self._since >= 60.0:
                self._since, self._recorded = self._monotonic(), 0
            if self._recorded >= self._per_minute:
                self._left_out += 1
                return None
            self._recorded += 1
            left_out, self._left_out = self._left_out, 0
            return left_out
