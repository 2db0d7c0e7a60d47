"""Claims: which SOP Instance UIDs have come and are not decided yet, so that each is decided in its turn."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Claims:
    """Lets one taker at a time have a UID; the next one waits, or makes happen what the first has left for later."""

    def __init__(self) -> None:
        """Begin with nothing claimed."""
        self._changed = threading.Condition()
        self._hurries: dict[str, Callable[[], None] | None] = {}  # None while its taker is at it

    def claim(self, uid: str) -> None:
        """Return once the UID is the caller's; raises what hurrying the one before raises."""
        while (hurry := self._claimed_by_another(uid)) is not None:
            hurry()

    def postpone(self, uid: str, hurry: Callable[[], None]) -> None:
        """Say that a claimed UID is decided later; whoever wants it calls `hurry`, again until it is released."""
        with self._changed:
            self._hurries[uid] = hurry
            self._changed.notify_all()

    def release(self, uid: str) -> None:
        """Say that a claimed UID is decided."""
        with self._changed:
            del self._hurries[uid]
            self._changed.notify_all()

    def _claimed_by_another(self, uid: str) -> Callable[[], None] | None:
        """Claim the UID, or return what hurries the one who has."""
        with self._changed:
            while self._hurries.get(uid, self) is None:
                self._changed.wait()
            if uid in self._hurries:
                return self._hurries[uid]
            self._hurries[uid] = None
            return None
