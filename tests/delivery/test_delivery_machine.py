"""Whatever peers answer and people, clocks and restarts do, and in whatever order, no result is lost or strays."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

from clocks import ManualClock
from delivery.parcels import make_scene, peer, scp
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from pynetdicom import evt
from sqlalchemy import select
from toxic import toxic_proxy
from waiting import PATIENCE_SECONDS

from node.database import Delivery, Study
from node.delivery.destinations import pause_destination, resume_destination
from node.delivery.outbox import Outbox, resend
from node.delivery.scu import Fate, classify
from node.jobs.progress import STOPPED
from node.states import DeliveryState, StudyState
from node.studies.intervention import cancel_study, hold_study_by_hand, release_study, retry_study

ATTEMPTS = 4
ANSWERS = (0x0000, 0xB007, 0xA700, 0xA900, "abort", "down")
WAITING = {DeliveryState.PENDING, DeliveryState.RETRYING}
PENDING, RETRYING, SENT, _COMMITTED, DEAD = DeliveryState


class DeliveryMachine(RuleBasedStateMachine):
    """One study's results, one peer. The model: of each result, its state, and how often it was truly tried."""

    @initialize()
    def build(self) -> None:
        self.held_open = ExitStack()
        folder = Path(self.held_open.enter_context(tempfile.TemporaryDirectory()))
        self.answer: int | str = 0x0000
        self.at_peer: Counter[str] = Counter()
        self.scene = make_scene(folder)
        port = self.held_open.enter_context(scp(self.handle))
        self.network = self.held_open.enter_context(toxic_proxy(port))
        self.clock: ManualClock = self.scene.side.clock
        self.outbox = self.new_outbox()
        self.is_paused = False
        with self.scene.side.database.reading() as session:
            rows = session.scalars(select(Delivery).order_by(Delivery.id)).all()
            self.uids = {row.id: row.result.sop_instance_uid for row in rows}
        self.model = {row.id: (PENDING, 0) for row in rows}

    def teardown(self) -> None:
        if not hasattr(self, "scene"):
            return
        self.everything_arrives_once_all_is_well()
        self.scene.side.database.close()
        self.held_open.close()

    def handle(self, event: evt.Event) -> int:
        """Answer as the peer is to, which has kept what it answers 0000 or a warning to."""
        if self.answer == "abort":
            event.assoc.abort()
            return 0x0000
        assert isinstance(self.answer, int)
        if classify(self.answer) is Fate.SENT:
            self.at_peer[str(event.request.AffectedSOPInstanceUID)] += 1
        return self.answer

    @rule(years=st.sampled_from((-10, 10)))
    def wall_clock_jumps(self, years: int) -> None:
        self.clock.jump(timedelta(days=365 * years))

    @rule()
    def node_restarts(self) -> None:
        self.outbox = self.new_outbox()

    @rule(seconds=st.sampled_from((0, 30, 61, 1000)), answer=st.sampled_from(ANSWERS))
    def outbox_sends(self, seconds: int, answer: int | str) -> None:
        self.clock.pass_seconds(seconds)
        self.answer = answer
        before, arrived = self.rows(), self.at_peer.copy()
        self.network.refuses = self.answer == "down"
        due = self.outbox.peers_due()
        assert due <= {"PACS"}
        tried = self.outbox.send_due("PACS") if due else 0
        after = self.rows()
        if self.is_paused or self.study_state() in STOPPED:
            assert (tried, after, self.at_peer) == (0, before, arrived)
        touched = [number for number in after if after[number] != before[number]]
        on_the_wire = [number for number in touched if after[number][1] != before[number][1]]
        if self.answer == "abort":
            assert len(on_the_wire) == min(tried, 1)
        for number in touched:
            self.model[number] = self.expected(before[number], number in on_the_wire)

    @rule(number=st.integers(1, 4))
    def person_resends(self, number: int) -> None:
        is_ended = self.rows()[number][0] in {SENT, DEAD}
        assert resend(self.scene.side.database, self.clock, [number]) == is_ended
        if is_ended:
            self.model[number] = (PENDING, 0)

    @rule(pauses=st.booleans())
    def person_pauses_or_resumes(self, pauses: bool) -> None:
        change = pause_destination if pauses else resume_destination
        change(self.scene.side.database, self.scene.settings({"PACS": peer(104)}), "PACS")
        self.is_paused = pauses
        self.outbox_sends(61, 0xA700)

    @rule(cancels=st.booleans())
    def person_stops_the_study_or_lets_it_go_on(self, cancels: bool) -> None:
        stops = cancel_study if cancels and self.study_state() != StudyState.DONE else hold_study_by_hand
        decide = {StudyState.HELD: release_study, StudyState.CANCELLED: retry_study}.get(self.study_state(), stops)
        decide(self.scene.side.database, self.clock, self.scene.study_uid)
        self.scene.side.complete(60)
        self.outbox_sends(61, 0x0000)

    @invariant()
    def the_rows_are_where_the_model_is(self) -> None:
        assert self.rows() == self.model

    @invariant()
    def what_is_sent_is_at_the_peer(self) -> None:
        assert all(self.at_peer[self.uids[n]] for n, (state, _) in self.rows().items() if state is SENT)

    @invariant()
    def the_study_is_where_its_deliveries_are(self) -> None:
        state, states = self.study_state(), {state for state, _ in self.rows().values()}
        if state not in STOPPED:
            expected = StudyState.ANALYSING if states & WAITING else StudyState.DONE
            assert state == (StudyState.ATTENTION if DEAD in states else expected)

    def expected(self, before: tuple[DeliveryState, int], was_on_the_wire: bool) -> tuple[DeliveryState, int]:
        """Return what a delivery that was touched must have become, by what the peer answers."""
        _, attempts = before
        if self.answer == "down" or (self.answer == "abort" and not was_on_the_wire):
            return RETRYING, attempts
        if self.answer == "abort":
            return self.after_attempt(attempts)
        assert isinstance(self.answer, int)
        match classify(self.answer):
            case Fate.SENT:
                return SENT, attempts + 1
            case Fate.DEAD:
                return DEAD, attempts + 1
            case Fate.RETRY:
                return self.after_attempt(attempts)

    def after_attempt(self, attempts: int) -> tuple[DeliveryState, int]:
        return (DEAD if attempts + 1 >= ATTEMPTS else RETRYING), attempts + 1

    def everything_arrives_once_all_is_well(self) -> None:
        """Mend everything and let a person resend what is dead: each result gets there."""
        self.person_pauses_or_resumes(False)
        if self.study_state() in STOPPED:
            self.person_stops_the_study_or_lets_it_go_on(False)
        self.answer = 0x0000
        resend(self.scene.side.database, self.clock, [n for n, (state, _) in self.rows().items() if state is DEAD])
        for _ in range(4):
            self.clock.pass_seconds(1000)
            self.network.refuses = False
            self.outbox.send_due("PACS")
        assert {state for state, _ in self.rows().values()} == {SENT}
        assert set(self.at_peer) == set(self.uids.values())

    def new_outbox(self) -> Outbox:
        peers = {"PACS": peer(self.network.port)}
        limits = self.scene.settings(peers, attempts=ATTEMPTS, timeout_seconds=PATIENCE_SECONDS)
        return Outbox(self.scene.side.database, self.scene.archive, limits, self.clock, random.Random(1))

    def rows(self) -> dict[int, tuple[DeliveryState, int]]:
        with self.scene.side.database.reading() as session:
            return {row.id: (row.state, row.attempts) for row in session.scalars(select(Delivery))}

    def study_state(self) -> StudyState:
        with self.scene.side.database.reading() as session:
            return session.scalars(select(Study)).one().state


TestDeliveryMachine = DeliveryMachine.TestCase
TestDeliveryMachine.settings = settings(
    max_examples=10, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
