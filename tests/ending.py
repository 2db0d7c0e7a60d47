"""Ends pynetdicom's servers, with the patience that a busy machine needs."""

from __future__ import annotations

from pynetdicom import AE

from node.demo import pacs

_PATIENCE_SECONDS = 60.0


def end_entity(entity: AE) -> None:
    """Shut a server down when its associations have noticed that they are over, or after a while."""
    pacs.end_entity(entity, _PATIENCE_SECONDS)
