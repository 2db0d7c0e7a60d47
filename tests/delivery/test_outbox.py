"""The outbox towards real peers: one that takes everything, one that is down, one that refuses."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from builders import chest_dx, shaded_picture
from delivery.parcels import Scene, encoded, peer, replying_peer, scp
from pydicom import dcmread, uid
from pynetdicom import AllStoragePresentationContexts, evt
from pynetdicom.presentation import build_context
from sqlalchemy import select

from node.archive import AnnouncedInstance
from node.database import Delivery, Study
from node.delivery.destinations import pause_destination, resume_destination
from node.delivery.outbox import resend
from node.demo.pacs import SmallPacs
from node.errors import DeliveryRefused
from node.states import DeliveryState, StudyState
from node.studies.intervention import hold_study_by_hand
from node.studies.overview import list_deliveries


def test_what_is_due_is_sent_once_and_the_study_is_done(scene: Scene, tmp_path: Path) -> None:
    with SmallPacs(tmp_path / "pacs") as pacs:
        outbox = scene.outbox(pacs.port)
        assert outbox.send_due("PACS") == 4
        assert outbox.send_due("PACS") == 0
        received = {dcmread(path).SOPInstanceUID for path in pacs.received()}
    sent = {line.sop_instance_uid for line in list_deliveries(scene.side.database)}
    assert received == sent
    assert scene.states() == {DeliveryState.SENT}
    assert scene.study_state() == "done"


def test_a_destination_that_is_down_gets_everything_when_it_is_back(
    scene: Scene, tmp_path: Path, closed_port: int
) -> None:
    outbox = scene.outbox(closed_port)
    assert outbox.send_due("PACS") == 4
    assert scene.states() == {DeliveryState.RETRYING}
    assert outbox.send_due("PACS") == 0
    with SmallPacs(tmp_path / "pacs") as pacs:
        scene.side.clock.pass_seconds(60)
        scene.outbox(pacs.port).send_due("PACS")
        assert len(pacs.received()) == 4
    assert scene.study_state() == "done"


def test_the_wait_between_attempts_doubles_up_to_the_longest(scene: Scene, closed_port: int) -> None:
    scene.keep_one()
    outbox = scene.outbox(closed_port, first_retry_seconds=10.0, longest_retry_seconds=40.0)
    waits = []
    for _ in range(5):
        outbox.send_due("PACS")
        with scene.side.database.reading() as session:
            due = session.scalars(select(Delivery.due_at).where(Delivery.state != "sent")).first()
        assert due is not None
        waits.append((due - scene.side.clock.now()).total_seconds())
        scene.side.clock.pass_seconds(50)
    for wait, expected in zip(waits, [10, 20, 40, 40, 40], strict=True):
        assert 0.8 * expected <= wait <= 1.2 * expected


def test_a_delivery_is_dead_after_the_attempts_allowed_and_asks_for_attention(scene: Scene) -> None:
    with scp(0xA700) as port:
        outbox = scene.outbox(port, attempts=2)
        for _ in range(5):
            outbox.send_due("PACS")
            scene.side.clock.pass_seconds(60)
    assert scene.states() == {DeliveryState.DEAD}
    assert {line.attempts for line in list_deliveries(scene.side.database)} == {2}
    assert scene.study_state() == "attention"


def test_a_destination_that_is_down_costs_no_delivery_an_attempt(scene: Scene, closed_port: int) -> None:
    outbox = scene.outbox(closed_port, attempts=2)
    for _ in range(5):
        outbox.send_due("PACS")
        scene.side.clock.pass_seconds(60)
    lines = list_deliveries(scene.side.database)
    assert {(line.state, line.attempts) for line in lines} == {("retrying", 0)}
    assert "127.0.0.1" in lines[0].answer


def test_an_association_that_breaks_off_costs_only_the_object_on_the_wire_an_attempt(scene: Scene) -> None:
    def abort(event: evt.Event) -> int:
        event.assoc.abort()
        return 0x0000

    with scp(abort) as port:
        scene.outbox(port).send_due("PACS")
    lines = list_deliveries(scene.side.database)
    assert [(line.state, line.attempts) for line in lines] == [("retrying", 1)] + 3 * [("retrying", 0)]


def test_an_object_that_always_breaks_the_association_is_dead_after_its_attempts_and_stops_no_other(
    scene: Scene,
) -> None:
    fatal = list_deliveries(scene.side.database)[0].sop_instance_uid

    def abort_one(event: evt.Event) -> int:
        if event.request.AffectedSOPInstanceUID == fatal:
            event.assoc.abort()
        return 0x0000

    with scp(abort_one) as port:
        outbox = scene.outbox(port, attempts=3)
        for _ in range(12):
            outbox.send_due("PACS")
            scene.side.clock.pass_seconds(60)
    assert [line.state for line in list_deliveries(scene.side.database)] == ["dead", "sent", "sent", "sent"]


REJECTIONS = [(1, 1, 3), (1, 1, 7), (2, 3, 1), (2, 3, 2)]


@pytest.mark.parametrize("rejection", REJECTIONS, ids=str)
def test_a_rejected_association_is_waited_out_and_its_three_numbers_are_shown(
    scene: Scene, rejection: tuple[int, int, int]
) -> None:
    with replying_peer(bytes([3, 0, 0, 0, 0, 4, 0, *rejection])) as port:  # A-ASSOCIATE-RJ, PS3.8 9.3.4
        scene.outbox(port, attempts=1).send_due("PACS")
    assert scene.states() == {DeliveryState.RETRYING}
    assert "rejected ({},{},{}: ".format(*rejection) in list_deliveries(scene.side.database)[0].answer


def test_a_study_that_is_held_while_its_results_go_out_stops_between_two_objects(scene: Scene) -> None:
    def hold(_event: evt.Event) -> int:
        hold_study_by_hand(scene.side.database, scene.side.clock, scene.study_uid)
        return 0x0000

    with scp(hold) as port:
        scene.outbox(port).send_due("PACS")
    assert sorted(line.state for line in list_deliveries(scene.side.database)) == 3 * ["pending"] + ["sent"]
    assert scene.study_state() == "held"


def test_a_day_without_the_destination_loses_nothing_and_delays_no_other(scene: Scene, closed_port: int) -> None:
    scene.also_to("OTHER")
    received = []

    def count(event: evt.Event) -> int:
        received.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    clock, database = scene.side.clock, scene.side.database
    with scp(count) as other:
        outbox = scene.outbox_to({"PACS": peer(closed_port), "OTHER": peer(other)}, attempts=5)
        for watch in range(8):
            for _ in range(3):
                clock.pass_seconds(3600)
                for due in sorted(outbox.peers_due()):
                    outbox.send_due(due)
            assert len(received) == 4 * (watch + 1)
            assert scene.states("OTHER") == {DeliveryState.SENT}
            numbers = [line.delivery for line in list_deliveries(database) if line.destination == "OTHER"]
            resend(database, clock, numbers)
        assert scene.states("PACS") == {DeliveryState.RETRYING}
        received.clear()
        with scp(count, port=closed_port):
            clock.pass_seconds(60)
            assert outbox.peers_due() == {"PACS", "OTHER"}
            outbox.send_due("PACS")
            outbox.send_due("PACS")
    assert scene.states("PACS") == {DeliveryState.SENT}
    assert len(received) == len(set(received)) == 4


def test_a_dead_delivery_is_sent_again_by_command_with_the_same_bytes(
    scene: Scene, tmp_path: Path
) -> None:
    with scp(0xA900) as port:
        scene.outbox(port).send_due("PACS")
    numbers = [line.delivery for line in list_deliveries(scene.side.database)]
    assert resend(scene.side.database, scene.side.clock, numbers) == 4
    assert resend(scene.side.database, scene.side.clock, numbers) == 0
    with SmallPacs(tmp_path / "pacs") as pacs:
        scene.outbox(pacs.port).send_due("PACS")
        arrived = {dcmread(path).SOPInstanceUID: dcmread(path) for path in pacs.received()}
    kept = {dcmread(p).SOPInstanceUID: dcmread(p) for p in (tmp_path / "results").rglob("*.dcm")}
    assert arrived == kept
    assert scene.study_state() == "done"


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (0x0000, DeliveryState.SENT),
        (0xB000, DeliveryState.SENT),
        (0xB006, DeliveryState.SENT),
        (0xB007, DeliveryState.SENT),
        (0xA700, DeliveryState.RETRYING),
        (0x0110, DeliveryState.RETRYING),
        (0xA900, DeliveryState.DEAD),
        (0xC123, DeliveryState.DEAD),
        (0x0122, DeliveryState.DEAD),
    ],
)
def test_each_class_of_status_has_its_fate(
    scene: Scene, status: int, state: DeliveryState, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "radnode")
    with scp(status) as port:
        scene.outbox(port).send_due("PACS")
    assert scene.states() == {state}
    assert list_deliveries(scene.side.database)[0].answer.startswith(f"{status:04X}")
    told = {(r.levelname, r.getMessage(), getattr(r, "fields", {}).get("status")) for r in caplog.records}
    event = {"sent": "sent", "retrying": "delayed", "dead": "dead"}[state]
    level = "ERROR" if state is DeliveryState.DEAD else "INFO"
    assert (level, f"delivery {event}", f"{status:04X}") in told


def test_a_sender_that_is_no_known_peer_is_named_and_nothing_is_lost(scene: Scene, closed_port: int) -> None:
    with scene.side.database.writing() as session:
        for delivery in session.scalars(select(Delivery)):
            delivery.destination = "sender:STRANGER"
    scene.outbox(closed_port).send_due("sender:STRANGER")
    line = list_deliveries(scene.side.database)[0]
    assert line.state == DeliveryState.DEAD
    assert "no peer for 'sender:STRANGER' in peers.toml" in line.answer


def test_a_result_that_names_another_patient_is_never_sent(scene: Scene, tmp_path: Path) -> None:
    with scene.side.database.writing() as session:
        path = scene.archive.path_of(session.scalars(select(Delivery)).first().result.path)
    result = dcmread(path)
    result.PatientID = "SOMEONE-ELSE"
    path.chmod(0o600)
    result.save_as(path)
    with SmallPacs(tmp_path / "pacs") as pacs:
        scene.outbox(pacs.port).send_due("PACS")
        assert result.SOPInstanceUID not in {dcmread(p).SOPInstanceUID for p in pacs.received()}
    assert scene.study_state() == "held"


def test_an_image_that_was_exchanged_on_disk_stops_its_results(scene: Scene, tmp_path: Path) -> None:
    source = dcmread(scene.source)
    source.PatientID = "SOMEONE-ELSE"
    scene.source.chmod(0o600)
    source.save_as(scene.source)
    with SmallPacs(tmp_path / "pacs") as pacs:
        scene.outbox(pacs.port).send_due("PACS")
        assert pacs.received() == []
    assert scene.study_state() == "held"


def test_results_of_a_held_study_stay_where_they_are(scene: Scene, tmp_path: Path) -> None:
    second = chest_dx(shaded_picture(seed=2), study_uid=scene.study_uid, patient_id="OTHER")
    announced = AnnouncedInstance(second.SOPClassUID, second.SOPInstanceUID, second.file_meta.TransferSyntaxUID)
    scene.side.bring(scene.archive.keep(announced, encoded(second, tmp_path)))
    with SmallPacs(tmp_path / "pacs") as pacs:
        assert scene.outbox(pacs.port).send_due("PACS") == 0
        assert pacs.received() == []



def test_a_destination_that_fails_is_tried_with_one_object_at_a_time(scene: Scene, closed_port: int) -> None:
    outbox = scene.outbox(closed_port)
    assert outbox.send_due("PACS") == 4
    assert outbox.peers_due() == set()
    scene.side.clock.pass_seconds(60)
    assert outbox.peers_due() == {"PACS"}
    assert outbox.send_due("PACS") == 1
    assert outbox.send_due("PACS") == 0


def test_a_new_result_for_a_destination_that_fails_waits_for_the_next_attempt(scene: Scene, closed_port: int) -> None:
    scene.also_to("LATER")
    outbox = scene.outbox(closed_port, first_retry_seconds=50.0)
    outbox.send_due("PACS")
    with scene.side.database.writing() as session:
        for delivery in session.scalars(select(Delivery).where(Delivery.destination == "LATER")):
            delivery.destination = "sender:PACS"
    assert outbox.peers_due() == set()
    assert outbox.send_due("PACS") == 0
    assert scene.states("sender:PACS") == {DeliveryState.PENDING}


def test_a_destination_that_is_back_gets_everything_within_a_minute(scene: Scene, closed_port: int) -> None:
    outbox = scene.outbox(closed_port, first_retry_seconds=900.0)
    outbox.send_due("PACS")
    with scp(port=closed_port):
        scene.side.clock.pass_seconds(60)
        assert outbox.peers_due() == {"PACS"}
        outbox.send_due("PACS")
        assert outbox.send_due("PACS") == 4
    assert scene.states() == {DeliveryState.SENT}


def test_a_wall_clock_that_was_put_back_strands_no_delivery(scene: Scene, tmp_path: Path) -> None:
    with scene.side.database.writing() as session:
        for delivery in session.scalars(select(Delivery)):
            delivery.due_at += timedelta(days=3650)
    with SmallPacs(tmp_path / "pacs") as pacs:
        outbox = scene.outbox(pacs.port)
        assert outbox.peers_due() == {"PACS"}
        assert outbox.send_due("PACS") == 4


def test_a_delivery_that_waits_its_time_is_not_due(scene: Scene, closed_port: int) -> None:
    with scene.side.database.writing() as session:
        for delivery in session.scalars(select(Delivery)):
            delivery.due_at += timedelta(seconds=900)
    assert scene.outbox(closed_port).peers_due() == set()


def test_nothing_is_sent_to_a_paused_destination_until_it_is_resumed(scene: Scene, tmp_path: Path) -> None:
    with SmallPacs(tmp_path / "pacs") as pacs:
        settings = scene.settings({"PACS": peer(pacs.port)})
        outbox = scene.outbox(pacs.port)
        assert pause_destination(scene.side.database, settings, "PACS", "new disks")
        assert not pause_destination(scene.side.database, settings, "PACS")
        assert outbox.peers_due() == set()
        assert outbox.send_due("PACS") == 0
        assert resume_destination(scene.side.database, settings, "PACS")
        assert not resume_destination(scene.side.database, settings, "PACS")
        assert outbox.peers_due() == {"PACS"}
        assert outbox.send_due("PACS") == 4


def test_a_destination_that_is_no_peer_cannot_be_paused(scene: Scene) -> None:
    with pytest.raises(DeliveryRefused, match=r"peer 'PCAS': not in peers.toml; expected one of: PACS"):
        pause_destination(scene.side.database, scene.settings({"PACS": peer(104)}), "PCAS")


def test_a_sender_that_is_a_known_peer_shares_its_association(scene: Scene, tmp_path: Path) -> None:
    associations = set()

    def note(event: evt.Event) -> int:
        associations.add(event.assoc)
        return 0x0000

    with scene.side.database.writing() as session:
        for delivery in session.scalars(select(Delivery).limit(2)):
            delivery.destination = "sender:PACS"
    with scp(note) as port:
        outbox = scene.outbox(port)
        assert outbox.peers_due() == {"PACS"}
        assert outbox.send_due("PACS") == 4
    assert len(associations) == 1
    assert scene.states() == scene.states("sender:PACS") == {DeliveryState.SENT}


def test_results_of_a_cancelled_study_stay_where_they_are(scene: Scene, closed_port: int) -> None:
    with scene.side.database.writing() as session:
        session.scalars(select(Study)).one().move(StudyState.CANCELLED)
    assert scene.outbox(closed_port).peers_due() == set()
    assert scene.outbox(closed_port).send_due("PACS") == 0


def test_a_peer_that_takes_implicit_vr_only_gets_the_same_result_in_it(scene: Scene, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in (tmp_path / "results").rglob("*.dcm")}
    implicit = [build_context(c.abstract_syntax, uid.ImplicitVRLittleEndian) for c in AllStoragePresentationContexts]
    received = []

    def keep(event: evt.Event) -> int:
        received.append((event.context.transfer_syntax, event.dataset))
        return 0x0000

    with scp(keep, contexts=implicit) as port:
        assert scene.outbox(port).send_due("PACS") == 4
    assert {syntax for syntax, _ in received} == {uid.ImplicitVRLittleEndian}
    written = {dataset.SOPInstanceUID: dataset for dataset in map(dcmread, before)}
    assert len(received) == 4
    for _, dataset in received:
        if "PixelData" in dataset:
            dataset["PixelData"].VR = "OB"  # the same bytes are OW in Implicit VR (PS3.5 A.1)
        assert dataset == written[dataset.SOPInstanceUID]
    assert {path: path.read_bytes() for path in before} == before
    assert scene.study_state() == "done"


def test_a_peer_that_does_not_know_a_class_of_result_is_named_the_setting_to_change(scene: Scene) -> None:
    without_segmentations = [
        context for context in AllStoragePresentationContexts if context.abstract_syntax != uid.SegmentationStorage
    ]
    with scp(contexts=without_segmentations) as port:
        scene.outbox(port).send_due("PACS")
    (line,) = [line for line in list_deliveries(scene.side.database) if line.state == DeliveryState.DEAD]
    assert line.kind == "segmentation"
    assert "does not accept Segmentation Storage in Explicit VR Little Endian or Implicit VR" in line.answer
    assert "UnknownSopClassAccepted" in line.answer


def test_an_outbox_that_stops_finishes_the_object_on_the_wire_and_begins_no_other(scene: Scene) -> None:
    def stop(_event: evt.Event) -> int:
        outbox.stop()
        return 0x0000

    with scp(stop) as port:
        outbox = scene.outbox(port)
        outbox.send_due("PACS")
    found = sorted(line.state for line in list_deliveries(scene.side.database))
    assert found == ["pending", "pending", "pending", "sent"]
