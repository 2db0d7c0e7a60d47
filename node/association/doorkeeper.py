"""The doorkeeper: judges each association request, and counts those that are inside."""

from __future__ import annotations

import threading
from collections import Counter

from node.association.allowlist import AllowList, Caller, Rejection

_RESERVED_SHARE = 8


class Doorkeeper:
    """Lets associations in up to a limit in all and one for each peer; only established ones count.

    The last eighth of all places is for known peers that have none yet, so that however many strangers or
    greedy peers there are, an honest one gets in.
    """

    def __init__(self, allow_list: AllowList, max_associations: int, max_associations_per_peer: int) -> None:
        self._allow_list = allow_list
        self._limit = max_associations
        self._limit_per_peer = max_associations_per_peer
        self._reserved = max_associations // _RESERVED_SHARE
        self._lock = threading.Lock()
        self._inside: Counter[tuple[str, str]] = Counter()

    def admit(self, caller: Caller) -> Rejection | None:
        """Count a caller in and return None, or return why it is rejected."""
        rejection = self._allow_list.judge(caller)
        if rejection is not None:
            return rejection
        is_known = self._allow_list.knows(caller)
        with self._lock:
            of_peer = self._inside[_peer(caller)]
            limit = self._limit if is_known and of_peer == 0 else self._limit - self._reserved
            if self._inside.total() >= limit:
                return Rejection.TOO_MANY
            if of_peer >= self._limit_per_peer:
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
