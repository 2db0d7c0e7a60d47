"""Whose reports count, and for what: a peer that reports what we never asked it changes nothing."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from rows import Gathering, gathering, received
from sqlalchemy import select

from node.commitment.pledges import Pledges
from node.commitment.questions import Questions
from node.database import Database, Delivery, Event, Pledge, Result
from node.errors import ReportByAnother, UnknownTransaction
from node.jobs.queue import StoredResult
from node.states import DeliveryState
from node.vocabulary import CommitmentReport, CommitmentRequest, InstanceReference

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
STRANGER = InstanceReference(SEGMENTATION, "2.25.99")


@pytest.fixture
def side(tmp_path: Path) -> Gathering:
    """Two objects that PACS has stored and is to commit to."""
    made = gathering(tmp_path)
    peers = {**made.settings.peers, "PACS": made.settings.peers["PACS"].model_copy(update={"commitment": True})}
    made.settings = made.settings.model_copy(update={"peers": peers})
    made.bring(received())
    made.complete()
    claim = made.queue.claim("worker-1")
    assert claim is not None
    made.queue.finish(
        claim, [StoredResult("segmentation", SEGMENTATION, f"2.25.{n}", "2.25.7", f"r{n}.dcm", f"{n}") for n in (1, 2)]
    )
    with made.database.writing() as session:
        for delivery in session.scalars(select(Delivery)):
            delivery.move(DeliveryState.SENT)
            delivery.sent_at = delivery.commitment_due_at = made.clock.now()
    return made


@pytest.fixture
def pledges(side: Gathering) -> Pledges:
    return Pledges(side.database, side.settings.delivery, side.clock)


@pytest.fixture
def asked(side: Gathering) -> CommitmentRequest:
    request = Questions(side.database, side.settings, side.clock).ask("PACS")
    assert request is not None
    return request


def states(database: Database) -> list[str]:
    with database.reading() as session:
        return [str(state) for state in session.scalars(select(Delivery.state).order_by(Delivery.id))]


def rows(database: Database) -> list[object]:
    """Return all that a report could change."""
    with database.reading() as session:
        deliveries = [(d.state, d.answer, d.denials) for d in session.scalars(select(Delivery).order_by(Delivery.id))]
        reported = list(session.scalars(select(Pledge.reported_at)))
        return [deliveries, reported, len(session.scalars(select(Event.id)).all())]


def test_a_report_of_a_transaction_that_nobody_asked_for_changes_nothing(
    side: Gathering, pledges: Pledges, asked: CommitmentRequest
) -> None:
    before = rows(side.database)
    with pytest.raises(UnknownTransaction, match=r"transaction 2\.25\.5 reported by PACS"):
        pledges.take_report("PACS", CommitmentReport("2.25.5", asked.references, {}))
    assert rows(side.database) == before


def test_a_report_from_another_peer_than_was_asked_changes_nothing(
    side: Gathering, pledges: Pledges, asked: CommitmentRequest
) -> None:
    before = rows(side.database)
    with pytest.raises(ReportByAnother, match="reported by XRAY: PACS was asked"):
        pledges.take_report("XRAY", CommitmentReport(asked.transaction_uid, asked.references, {}))
    assert rows(side.database) == before
    pledges.take_report("PACS", CommitmentReport(asked.transaction_uid, asked.references, {}))
    assert states(side.database) == ["committed"] * 2


def test_what_was_not_asked_for_is_logged_and_left_alone(
    side: Gathering, pledges: Pledges, asked: CommitmentRequest, caplog: pytest.LogCaptureFixture
) -> None:
    pledges.take_report(
        "PACS",
        CommitmentReport(asked.transaction_uid, asked.references[:1], {asked.references[1]: 0x0110, STRANGER: 1}),
    )
    assert states(side.database) == ["committed", "retrying"]
    (told,) = [record for record in caplog.records if record.message == "report on what was not asked"]
    assert (told.fields["instances"], told.fields["peer"]) == (1, "PACS")


def test_an_object_of_another_class_is_not_the_one_that_was_asked_about(
    side: Gathering, pledges: Pledges, asked: CommitmentRequest
) -> None:
    others = tuple(InstanceReference("1.2.3", each.sop_instance_uid) for each in asked.references)
    pledges.take_report("PACS", CommitmentReport(asked.transaction_uid, others, {}))
    assert states(side.database) == ["retrying"] * 2


def test_an_object_that_is_reported_as_both_is_not_committed(
    side: Gathering, pledges: Pledges, asked: CommitmentRequest
) -> None:
    failed = {asked.references[0]: 0x0213}
    pledges.take_report("PACS", CommitmentReport(asked.transaction_uid, asked.references, failed))
    assert states(side.database) == ["retrying", "committed"]


def test_a_second_report_on_a_transaction_does_not_count(
    side: Gathering, pledges: Pledges, asked: CommitmentRequest, caplog: pytest.LogCaptureFixture
) -> None:
    pledges.take_report("PACS", CommitmentReport(asked.transaction_uid, asked.references[:1], {}))
    before = rows(side.database)
    pledges.take_report("PACS", CommitmentReport(asked.transaction_uid, asked.references, {}))
    assert rows(side.database) == before
    assert [record.message for record in caplog.records].count("report repeated") == 1


@pytest.mark.parametrize(
    ("reason", "told"),
    [(0x0110, "0110 processing failure"), (0x0213, "0213 resource limitation"), (0xABCD, "ABCD")],
)
def test_the_reason_is_spelled_out(
    side: Gathering, pledges: Pledges, asked: CommitmentRequest, reason: int, told: str
) -> None:
    failed = dict.fromkeys(asked.references, reason)
    pledges.take_report("PACS", CommitmentReport(asked.transaction_uid, (), failed))
    with side.database.reading() as session:
        assert set(session.scalars(select(Delivery.answer))) == {f"not committed: {told}"}


def test_an_object_is_sent_again_after_a_pause_that_grows(
    side: Gathering, pledges: Pledges, asked: CommitmentRequest
) -> None:
    pledges.take_report("PACS", CommitmentReport(asked.transaction_uid, (), dict.fromkeys(asked.references, 0x0112)))
    with side.database.reading() as session:
        due = set(session.scalars(select(Delivery.due_at)))
    assert due == {side.clock.now() + timedelta(seconds=10)}


def test_what_has_left_the_disk_cannot_be_sent_again(
    side: Gathering, pledges: Pledges, asked: CommitmentRequest
) -> None:
    with side.database.writing() as session:
        session.scalars(select(Result)).first().path = ""
    pledges.take_report("PACS", CommitmentReport(asked.transaction_uid, (), dict.fromkeys(asked.references, 0x0112)))
    assert states(side.database) == ["dead", "retrying"]
