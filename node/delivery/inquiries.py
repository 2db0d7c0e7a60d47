"""Inquiries: peers that were sent results are asked to commit to them, beside the sending and never in its way."""

from __future__ import annotations

import logging
import random
import threading
from functools import partial

from node.clock import Clock
from node.commitment.pledges import Pledges
from node.commitment.questions import Questions
from node.delivery.inquiry import SUCCESS, inquiry_at
from node.delivery.patience import Breakers
from node.errors import DeliveryDelayed, DeliveryError, DeliveryRefused, PeerUnreachable, UnknownTransaction
from node.logs import log_failure
from node.peers import Peer
from node.settings import Settings
from node.vocabulary import CommitmentReport, CommitmentRequest

logger = logging.getLogger("radnode.commitment")

REPORT_SECONDS = 3.0  # how long an association stays open for a report; later ones come to our listener


class Inquiries:
    """Asks what is due; every step is a row before it is taken, so a crash asks once more at most."""

    def __init__(
        self, questions: Questions, pledges: Pledges, settings: Settings, clock: Clock, jitter: random.Random
    ) -> None:
        """Ask as `settings.node.ae_title`; reports that come at once go to `pledges`."""
        self._questions = questions
        self._pledges = pledges
        self._settings = settings
        self._clock = clock
        self._breakers = Breakers(settings.delivery, jitter)
        self._stopping = threading.Event()

    def peers_due(self) -> set[str]:
        """Return the peers to ask now; one that was away or refused is left alone for a while."""
        now = self._clock.boot_seconds()
        return {name for name in self._questions.peers_due() if not self._breakers[name].is_waiting(now)}

    def send_due(self, peer_name: str) -> int:
        """Ask one peer about what is due, in one transaction; return about how many objects."""
        if self._stopping.is_set() or self._breakers[peer_name].is_waiting(self._clock.boot_seconds()):
            return 0
        request = self._questions.ask(peer_name)
        if request is None:
            return 0
        try:
            self._ask(self._settings.peers[peer_name], request)
        except DeliveryError as error:
            self.note_failure(peer_name)
            self._note(request, error)
        else:
            self._breakers[peer_name].note_success()
        return len(request.references)

    def note_failure(self, peer_name: str) -> None:
        """Ask a peer nothing for a while, longer each time, after something went wrong with it."""
        self._breakers[peer_name].note_failure(self._clock.boot_seconds())

    def stop(self) -> None:
        """Ask nobody else, and wait for no report."""
        self._stopping.set()

    def _ask(self, peer: Peer, request: CommitmentRequest) -> None:
        """Ask, and take the report if it comes at once; raises DeliveryRefused for a status that is no success."""
        timeout_seconds = self._settings.delivery.timeout_seconds
        with inquiry_at(self._settings.node.ae_title, peer.address, timeout_seconds) as inquiry:
            status = inquiry.ask(request)
            if status == SUCCESS:
                self._questions.note_accepted(request)
                take_report = partial(self._take_report, peer.ae_title)
                inquiry.hear(take_report, REPORT_SECONDS, lambda: self._is_over(request))
        if status != SUCCESS:
            raise DeliveryRefused(f"{peer.ae_title} answered N-ACTION with {status:04X}; see the peer's log")

    def _is_over(self, request: CommitmentRequest) -> bool:
        return self._stopping.is_set() or self._questions.is_reported(request)

    def _take_report(self, ae_title: str, report: CommitmentReport) -> None:
        try:
            self._pledges.take_report(ae_title, report)
        except UnknownTransaction as error:
            log_failure(logger, "report refused", error, peer=ae_title)
            raise

    def _note(self, request: CommitmentRequest, error: DeliveryError) -> None:
        """Write down what went wrong, for the operator, and when to ask again."""
        if isinstance(error, PeerUnreachable):
            self._questions.take_back(request, str(error))
        elif isinstance(error, DeliveryDelayed):
            self._questions.note_unanswered(request, str(error))
        else:
            self._questions.note_refused(request, str(error))
