"""A peer that is asked to commit to what it was sent: what it says, what it leaves open, and what we keep till then."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from delivery.committing import (
    CommittingPeer,
    all_but,
    all_committed,
    committing,
    our_listener,
    send_report,
    uids,
)
from delivery.parcels import Scene
from sqlalchemy import func, select
from waiting import PATIENCE_SECONDS, until

from node.commitment.pledges import Pledges
from node.commitment.questions import Questions
from node.database import Event, Pledge
from node.delivery import inquiries
from node.delivery.couriers import Couriers
from node.delivery.destinations import pause_destination
from node.delivery.inquiries import Inquiries
from node.delivery.outbox import Outbox, resend
from node.delivery.retention import Retention
from node.peers import Peer
from node.settings import Settings
from node.states import DeliveryState
from node.studies.overview import DeliveryLine, describe_study, list_deliveries

A_DAY, A_QUARTER = 86400.0, 900.0
BLINK_SECONDS = 0.2
SENT, COMMITTED, RETRYING, DEAD = (
    DeliveryState.SENT,
    DeliveryState.COMMITTED,
    DeliveryState.RETRYING,
    DeliveryState.DEAD,
)


@dataclass
class Asking:
    """The sending and the asking side of a node whose one destination is to commit to what it gets."""

    scene: Scene
    peer: CommittingPeer
    settings: Settings
    outbox: Outbox
    pledges: Pledges
    questions: Questions
    inquiries: Inquiries

    @property
    def lines(self) -> list[DeliveryLine]:
        return list_deliveries(self.scene.side.database)

    @property
    def answers(self) -> set[str]:
        return {line.answer for line in self.lines}

    def events(self, name: str) -> int:
        with self.scene.side.database.reading() as session:
            return session.scalar(select(func.count()).select_from(Event).where(Event.name == name)) or 0

    def transactions(self) -> list[str]:
        with self.scene.side.database.reading() as session:
            return list(session.scalars(select(Pledge.transaction_uid).order_by(Pledge.id)))

    def retention(self) -> Retention:
        return Retention(self.scene.side.database, self.scene.archive, self.scene.side.clock, 1.0)

    def wait(self, seconds: float) -> None:
        self.scene.side.clock.pass_seconds(seconds)

    def ask(self) -> int:
        """Ask; a report is waited for as long as it takes where the peer makes one, and else for a blink."""
        inquiries.REPORT_SECONDS = PATIENCE_SECONDS if self.peer.report else BLINK_SECONDS
        return self.inquiries.send_due("PACS")


def asking_at(scene: Scene, pacs: CommittingPeer, commitment: bool = True, **limits: float) -> Asking:
    peer = Peer(ae_title="PACS", host="127.0.0.1", port=pacs.port, commitment=commitment)
    settings = scene.settings({"PACS": peer}, **limits)
    database, clock = scene.side.database, scene.side.clock
    pledges = Pledges(database, settings.delivery, clock)
    questions = Questions(database, settings, clock)
    return Asking(
        scene,
        pacs,
        settings,
        Outbox(database, scene.archive, settings, clock, random.Random(1)),
        pledges,
        questions,
        Inquiries(questions, pledges, settings, clock, random.Random(1)),
    )


@pytest.fixture(autouse=True)
def kept_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put back what a test changes whenever it asks."""
    monkeypatch.setattr(inquiries, "REPORT_SECONDS", inquiries.REPORT_SECONDS)


@pytest.fixture
def pacs() -> Iterator[CommittingPeer]:
    """A peer that takes everything and reports nothing on its own."""
    with committing(CommittingPeer()) as peer:
        yield peer


@pytest.fixture
def asking(scene: Scene, pacs: CommittingPeer) -> Asking:
    """Four objects that the peer has stored."""
    made = asking_at(scene, pacs)
    made.outbox.send_due("PACS")
    assert scene.states() == {SENT}
    return made


def test_what_was_sent_is_asked_about_in_one_transaction_and_is_not_yet_committed(
    asking: Asking, pacs: CommittingPeer
) -> None:
    assert asking.inquiries.peers_due() == {"PACS"}
    assert asking.ask() == 4
    assert uids(pacs.asked) == [set(pacs.stored)]
    assert asking.transactions() == [pacs.asked[0].transaction_uid]
    assert asking.scene.states() == {SENT}
    assert asking.scene.study_state() == "done"
    assert asking.answers == {"asked to commit, no report yet (asked 1 times)"}
    assert asking.events("commitment asked") == 4
    assert asking.inquiries.peers_due() == set()


def test_a_report_on_the_same_association_commits(scene: Scene, pacs: CommittingPeer, asking: Asking) -> None:
    pacs.report = all_committed
    started = time.monotonic()
    asking.ask()
    assert scene.states() == {COMMITTED}
    assert time.monotonic() - started < PATIENCE_SECONDS / 2
    until(lambda: pacs.report_answers == [0x0000])
    assert {line.committed_at for line in asking.lines} == {scene.side.clock.now()}
    assert asking.answers == {"committed"}
    assert scene.study_state() == "done"
    detail = describe_study(scene.side.database, scene.study_uid)
    assert [event.name for event in detail.events[-4:]] == ["delivery committed"] * 4
    asking.wait(30 * A_DAY)
    assert asking.inquiries.peers_due() == set()


def test_a_report_on_an_association_of_the_peers_own_commits(asking: Asking, pacs: CommittingPeer) -> None:
    asking.ask()
    with our_listener(asking.pledges) as (port, heard):
        assert send_report(port, "PACS", all_committed(pacs.asked[0])) == 0x0000
    assert heard == asking.transactions()
    assert asking.scene.states() == {COMMITTED}


def test_a_silent_peer_is_asked_again_ever_less_often_in_new_transactions(asking: Asking, pacs: CommittingPeer) -> None:
    asking.ask()
    asking.wait(A_QUARTER - 1)
    assert asking.inquiries.peers_due() == set()
    asking.wait(1)
    assert asking.inquiries.peers_due() == {"PACS"}
    asking.ask()
    asking.wait(A_QUARTER)
    assert asking.inquiries.peers_due() == set()
    asking.wait(A_QUARTER)
    asking.ask()
    assert uids(pacs.asked) == [set(pacs.stored)] * 3
    assert len(set(asking.transactions())) == 3
    assert asking.answers == {"asked to commit, no report yet (asked 3 times)"}


def test_a_late_report_to_an_old_transaction_counts(asking: Asking, pacs: CommittingPeer) -> None:
    asking.ask()
    asking.wait(A_QUARTER)
    asking.ask()
    asking.pledges.take_report("PACS", all_committed(pacs.asked[0]))
    assert asking.scene.states() == {COMMITTED}


def test_no_pause_is_longer_than_a_day(asking: Asking) -> None:
    for _ in range(12):
        asking.questions.ask("PACS")
        asking.wait(A_DAY)
        assert asking.questions.peers_due() == {"PACS"}


def test_the_copy_is_kept_until_the_peer_has_committed(asking: Asking, pacs: CommittingPeer) -> None:
    keeper = asking.retention()
    asking.ask()
    asking.wait(6 * A_DAY)
    assert keeper.remove_expired() == 0
    asking.pledges.take_report("PACS", all_committed(pacs.asked[0]))
    asking.wait(1.1 * A_DAY)
    assert keeper.remove_expired() == 1
    assert asking.scene.study_state() == "removed"


def test_a_peer_that_never_commits_is_told_of_and_holds_nothing_back_after_the_policy_age(asking: Asking) -> None:
    keeper = asking.retention()
    asking.ask()
    asking.wait(6.9 * A_DAY)
    assert asking.questions.give_up() == 0
    assert keeper.remove_expired() == 0
    asking.wait(0.1 * A_DAY)
    assert asking.questions.give_up() == 4
    assert asking.questions.give_up() == 0
    assert asking.scene.states() == {SENT}
    (answer,) = asking.answers
    assert answer.startswith("never committed, in 7 days; last: asked to commit, no report yet")
    assert asking.events("delivery never committed") == 4
    assert asking.questions.peers_due() == set()
    asking.wait(1.1 * A_DAY)
    assert keeper.remove_expired() == 1


def test_a_report_after_the_policy_age_still_commits(asking: Asking, pacs: CommittingPeer) -> None:
    asking.ask()
    asking.wait(8 * A_DAY)
    asking.questions.give_up()
    asking.pledges.take_report("PACS", all_committed(pacs.asked[0]))
    assert asking.scene.states() == {COMMITTED}


def test_a_wall_clock_that_jumps_makes_nothing_old(asking: Asking) -> None:
    asking.ask()
    asking.scene.side.clock.jump(timedelta(days=3650))
    assert asking.questions.give_up() == 0
    asking.scene.side.clock.jump(timedelta(days=-7300))
    assert asking.questions.peers_due() == {"PACS"}


def test_a_peer_that_need_not_commit_is_not_asked_and_holds_nothing_back(scene: Scene, pacs: CommittingPeer) -> None:
    asking = asking_at(scene, pacs, commitment=False)
    asking.outbox.send_due("PACS")
    assert asking.inquiries.peers_due() == set()
    assert asking.ask() == 0
    asking.wait(1.1 * A_DAY)
    assert asking.retention().remove_expired() == 1


def test_a_peer_that_need_not_commit_any_more_holds_nothing_back(scene: Scene, asking: Asking) -> None:
    other = asking_at(scene, CommittingPeer(port=1), commitment=False)
    assert other.inquiries.peers_due() == set()
    assert other.questions.give_up() == 0
    other.wait(1.1 * A_DAY)
    assert other.retention().remove_expired() == 1


def test_an_object_the_peer_has_not_is_sent_again_asked_about_again_and_dead_in_the_end(
    asking: Asking, pacs: CommittingPeer
) -> None:
    lost = pacs.stored[1]
    pacs.report = lambda request: all_but(request, lost)
    asking.ask()
    states = {line.sop_instance_uid: line.state for line in asking.lines}
    assert states.pop(lost) == RETRYING
    assert set(states.values()) == {COMMITTED}
    assert asking.scene.study_state() == "analysing"
    for stored in (5, 6):
        asking.wait(60)
        assert asking.outbox.send_due("PACS") == 1
        assert pacs.stored[4:] == [lost] * (stored - 4)
        assert asking.ask() == 1
    assert uids(pacs.asked[1:]) == [{lost}, {lost}]
    (line,) = [line for line in asking.lines if line.sop_instance_uid == lost]
    assert (line.state, line.answer) == (DEAD, "not committed: 0112 no such object instance")
    assert asking.scene.study_state() == "attention"
    assert asking.events("delivery not committed") == 3
    assert asking.events("delivery dead") == 1


def test_what_a_report_leaves_out_is_not_committed(asking: Asking, pacs: CommittingPeer) -> None:
    asking.ask()
    whole = all_committed(pacs.asked[0])
    asking.pledges.take_report("PACS", type(whole)(whole.transaction_uid, whole.committed[:3], {}))
    left_out = [line for line in asking.lines if line.state != COMMITTED]
    assert [(line.state, line.answer) for line in left_out] == [(RETRYING, "not committed: missing from its report")]


def test_the_copy_of_what_is_sent_again_is_kept(asking: Asking, pacs: CommittingPeer) -> None:
    keeper = asking.retention()
    pacs.report = lambda request: all_but(request, *pacs.stored)
    asking.ask()
    asking.wait(30 * A_DAY)
    assert asking.questions.give_up() == 0
    assert keeper.remove_expired() == 0


def test_a_person_has_a_dead_or_committed_object_sent_and_asked_about_anew(
    asking: Asking, pacs: CommittingPeer
) -> None:
    pacs.report = all_committed
    asking.ask()
    assert resend(asking.scene.side.database, asking.scene.side.clock, [1, 2]) == 2
    assert [line.committed_at is None for line in asking.lines] == [True, True, False, False]
    asking.wait(1)
    assert asking.outbox.send_due("PACS") == 2
    assert asking.ask() == 2
    assert asking.scene.states() == {COMMITTED}


def test_a_report_about_an_earlier_sending_does_not_count(asking: Asking, pacs: CommittingPeer) -> None:
    asking.ask()
    resend(asking.scene.side.database, asking.scene.side.clock, [1])
    asking.wait(1)
    asking.outbox.send_due("PACS")
    asking.pledges.take_report("PACS", all_committed(pacs.asked[0]))
    assert [line.state for line in asking.lines] == [SENT, COMMITTED, COMMITTED, COMMITTED]
    asking.ask()
    assert len(pacs.asked[1].references) == 1


def test_a_peer_that_knows_no_commitment_is_shown_as_such_and_asked_ever_less_often(scene: Scene) -> None:
    with committing(CommittingPeer(commits=False)) as pacs:
        asking = asking_at(scene, pacs)
        asking.outbox.send_due("PACS")
        asking.ask()
        assert asking.scene.states() == {SENT}
        (answer,) = asking.answers
        assert answer.startswith("not asked to commit: PACS at 127.0.0.1")
        assert "accepts none of the SOP classes proposed" in answer
        assert asking.transactions() == []
        asking.wait(3)
        assert asking.inquiries.peers_due() == set()
        asking.wait(4)
        assert asking.inquiries.peers_due() == {"PACS"}
        asking.ask()
        asking.wait(7)
        assert asking.inquiries.peers_due() == set()


def test_a_question_that_is_answered_with_a_failure_is_asked_again_later(asking: Asking, pacs: CommittingPeer) -> None:
    pacs.answer = 0x0213
    asking.ask()
    assert asking.answers == {"not asked to commit: PACS answered N-ACTION with 0213; see the peer's log"}
    assert asking.events("commitment asked") == 0
    asking.wait(7)
    pacs.answer, pacs.report = 0x0000, all_committed
    assert asking.ask() == 4
    assert asking.scene.states() == {COMMITTED}
    assert len({request.transaction_uid for request in pacs.asked}) == 2


def test_a_question_without_an_answer_may_still_be_reported_on(asking: Asking, pacs: CommittingPeer) -> None:
    asking = asking_at(asking.scene, pacs, timeout_seconds=5.0)
    pacs.answer = None
    asking.ask()
    (answer,) = asking.answers
    assert answer.startswith("asked to commit: no answer to N-ACTION")
    asking.wait(120)
    assert asking.inquiries.peers_due() == set()
    asking.pledges.take_report("PACS", all_committed(pacs.asked[0]))
    assert asking.scene.states() == {COMMITTED}


def test_a_peer_that_is_away_is_tried_at_most_a_minute_apart_and_leaves_no_rows(scene: Scene, closed_port: int) -> None:
    with committing(CommittingPeer(), closed_port) as pacs:
        asking = asking_at(scene, pacs)
        asking.outbox.send_due("PACS")
    asking.ask()
    assert asking.inquiries.peers_due() == set()
    for _ in range(8):
        asking.wait(61)
        assert asking.ask() == 4
    assert asking.transactions() == []
    assert all("no connection" in answer for answer in asking.answers)
    asking.wait(61)
    with committing(CommittingPeer(report=all_committed), closed_port) as asking.peer:
        asking.ask()
    assert asking.scene.states() == {COMMITTED}


def test_a_peer_that_a_person_has_paused_is_not_asked(asking: Asking) -> None:
    pause_destination(asking.scene.side.database, asking.settings, "PACS")
    assert asking.inquiries.peers_due() == set()


def test_a_peer_that_does_not_answer_a_question_delays_no_sending(scene: Scene, pacs: CommittingPeer) -> None:
    asking = asking_at(scene, pacs, timeout_seconds=600.0)
    asking.outbox.send_due("PACS")
    pacs.answer = None
    inquirers, couriers = Couriers(asking.inquiries), Couriers(asking.outbox)
    inquirers.dispatch()
    until(lambda: bool(pacs.asked))
    resend(scene.side.database, scene.side.clock, [1, 2, 3, 4])
    couriers.dispatch()
    until(lambda: len(pacs.stored) == 8)  # long before anybody gives up the question
    pacs.released.set()
    inquirers.stop(PATIENCE_SECONDS)
    couriers.stop(PATIENCE_SECONDS)


def test_a_report_that_comes_twice_changes_nothing_the_second_time(asking: Asking, pacs: CommittingPeer) -> None:
    asking.ask()
    report = all_but(pacs.asked[0], pacs.stored[0])
    asking.pledges.take_report("PACS", report)
    asking.pledges.take_report("PACS", report)
    assert asking.events("delivery not committed") == 1
    asking.wait(60)
    asking.outbox.send_due("PACS")
    asking.pledges.take_report("PACS", report)
    assert [line.state for line in asking.lines] == [SENT, COMMITTED, COMMITTED, COMMITTED]


def test_a_report_that_is_none_of_ours_is_answered_with_a_failure(asking: Asking, pacs: CommittingPeer) -> None:
    pacs.report = lambda request: type(all_committed(request))("2.25.1", request.references, {})
    inquirer = threading.Thread(target=asking.ask)
    inquirer.start()
    until(lambda: pacs.report_answers == [0x0115])
    asking.inquiries.stop()
    inquirer.join(PATIENCE_SECONDS)
    assert asking.scene.states() == {SENT}


def test_two_destinations_that_are_one_peer_are_asked_about_once(scene: Scene, pacs: CommittingPeer) -> None:
    scene.also_to("sender:PACS")
    asking = asking_at(scene, pacs)
    assert [asking.outbox.send_due("PACS") for _ in range(2)] == [8, 4]  # each file once over an association
    pacs.report = all_committed
    assert asking.ask() == 4
    assert scene.states("PACS") == scene.states("sender:PACS") == {COMMITTED}


DYING = """
import random, sys
from pathlib import Path
from node.clock import SystemClock
from node.commitment.pledges import Pledges
from node.commitment.questions import Questions
from node.database import Database
from node.delivery import inquiries
from node.peers import Peer
from node.settings import Settings
inquiries.REPORT_SECONDS = 100.0
peer = Peer(ae_title="PACS", host="127.0.0.1", port=int(sys.argv[2]), commitment=True)
settings, clock = Settings(peers={"PACS": peer}), SystemClock()
database = Database(Path(sys.argv[1]) / "radnode.db")
pledges, questions = Pledges(database, settings.delivery, clock), Questions(database, settings, clock)
inquiries.Inquiries(questions, pledges, settings, clock, random.Random(1)).send_due("PACS")
"""


@pytest.mark.parametrize(
    "point", ["rows committed", "commitment asked", "delivery committed", "delivery not committed committed"]
)
def test_a_node_that_is_killed_while_it_asks_or_hears_is_left_with_a_pledge_or_a_question(
    asking: Asking, pacs: CommittingPeer, tmp_path: Path, point: str
) -> None:
    lost = pacs.stored[0]
    pacs.report = (lambda request: all_but(request, lost)) if "not" in point else all_committed
    environment = {**os.environ, "RADNODE_FAULT": f"{point}:kill"}
    command = [sys.executable, "-c", DYING, str(tmp_path), str(pacs.port)]
    died = subprocess.run(
        command, check=False, env=environment, timeout=PATIENCE_SECONDS, capture_output=True, text=True
    )
    assert died.returncode == -9, died.stderr
    pacs.report = all_committed
    for _ in range(3):
        asking.wait(A_DAY)
        asking.outbox.send_due("PACS")
        asking.ask()
    assert asking.scene.states() == {COMMITTED}
    assert asking.events("delivery committed") == 4


def test_a_node_that_stops_asks_nobody(asking: Asking, pacs: CommittingPeer) -> None:
    asking.inquiries.stop()
    assert asking.ask() == 0
    assert pacs.asked == []
