"""1. Accept: associations from peers, and an answer to each C-ECHO, C-STORE, N-ACTION and N-EVENT-REPORT."""

from node.association.commitment import CommitmentService
from node.association.listener import Listener, ListenerSettings

__all__ = ["CommitmentService", "Listener", "ListenerSettings"]
