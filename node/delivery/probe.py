"""Asks a peer who it is and what it would take, without sending it any data."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom.association import Association
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from node.delivery.requestor import Requestor, associate
from node.errors import DeliveryDelayed, DeliveryError
from node.vocabulary import PeerAddress


@dataclass(frozen=True)
class Greeting:
    """What a peer said of itself in one association, and how long its C-ECHO took.

    `echo_seconds` is None when it takes associations but no Verification. `accepted` holds the SOP
    class UIDs it takes in Explicit VR Little Endian, the transfer syntax of our results.
    """

    implementation_class_uid: str
    implementation_version: str
    accepted: frozenset[str]
    echo_seconds: float | None


def greet(local_ae_title: str, peer: PeerAddress, sop_class_uids: Sequence[str], timeout_seconds: float) -> Greeting:
    """Propose the SOP classes and Verification to a peer, echo it, and return what it said.

    Raises DeliveryDelayed when it cannot be reached, refuses the association or does not answer the
    C-ECHO, DeliveryRefused when it accepts nothing that was proposed.
    """
    contexts = [build_context(Verification)]
    contexts += [build_context(uid, ExplicitVRLittleEndian) for uid in sop_class_uids]
    with associate(Requestor(local_ae_title, timeout_seconds), peer, contexts) as association:
        accepted = {str(context.abstract_syntax) for context in association.accepted_contexts}
        echoed = _echo(association, peer) if Verification in accepted else None
        told = association.acceptor
        return Greeting(
            implementation_class_uid=str(told.implementation_class_uid or ""),
            implementation_version=told.implementation_version_name or "",
            accepted=frozenset(accepted - {Verification}),
            echo_seconds=echoed,
        )


def is_rejection(error: DeliveryError) -> bool:
    """Tell whether the peer answered, but with A-ASSOCIATE-RJ; the error's text then gives its reason."""
    return "association rejected" in str(error)


def _echo(association: Association, peer: PeerAddress) -> float:
    started = time.perf_counter()
    if "Status" not in association.send_c_echo():
        raise DeliveryDelayed(f"{peer.ae_title} at {peer.host}:{peer.port}: no answer to C-ECHO; see the peer's log")
    return time.perf_counter() - started
