"""Asks a peer who it is and what it would take, without sending it any data."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.uid import ExplicitVRLittleEndian

from node.delivery.requestor import PROPOSED_VERIFICATION, Requestor, associate
from node.upper_layer.command import VERIFICATION
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
    proposed = [PROPOSED_VERIFICATION, *((uid, (ExplicitVRLittleEndian,)) for uid in sop_class_uids)]
    with associate(Requestor(local_ae_title, timeout_seconds), peer, proposed) as association:
        accepted = {context.abstract_syntax: context for context in association.contexts}
        verification = accepted.pop(VERIFICATION, None)
        echo_seconds = None
        if verification is not None:
            started = time.perf_counter()
            association.echo(verification)
            echo_seconds = time.perf_counter() - started
        return Greeting(
            implementation_class_uid=association.acceptance.implementation_class_uid,
            implementation_version=association.acceptance.implementation_version,
            accepted=frozenset(accepted),
            echo_seconds=echo_seconds,
        )
