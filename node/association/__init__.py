"""1. Accept: associations from peers, and an answer to each C-ECHO and C-STORE."""

from node.association.listener import Listener, ListenerSettings

__all__ = ["Listener", "ListenerSettings"]
