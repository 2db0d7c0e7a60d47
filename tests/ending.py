"""Ends pynetdicom's servers: one that is shut down while an association of its ends breaks in a thread of its own."""

from __future__ import annotations

import time

from pynetdicom import AE

_PATIENCE_SECONDS = 60.0


def end_entity(entity: AE) -> None:
    """Shut a server down when its associations have noticed that they are over, or after a while."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while entity.active_associations and time.monotonic() < deadline:
        time.sleep(0.01)
    entity.shutdown()
