"""When a study is complete, and which jobs come of it."""

from pathlib import Path

import pytest
from pydicom import uid
from rows import LUNG_RULE, Gathering, gathering, received
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from node.catalog import Catalog
from node.database import Job
from node.errors import ModelCardError
from node.jobs.queue import StoredResult
from node.states import JobState
from node.studies.assembly import Assembly
from node.studies.overview import describe_study


@pytest.fixture
def side(tmp_path: Path) -> Gathering:
    return gathering(tmp_path)


def jobs(side: Gathering) -> list[Job]:
    with side.database.reading() as session:
        return list(session.scalars(select(Job).options(selectinload(Job.inputs)).order_by(Job.id)))


def inputs(job: Job) -> list[int]:
    return [entry.instance_id for entry in job.inputs]


def state(side: Gathering, study_uid: str = "1.2.3") -> str:
    return describe_study(side.database, study_uid).study.state


def a_result(number: int = 1) -> StoredResult:
    return StoredResult("segmentation", uid.SegmentationStorage, f"2.25.{number}", "2.25.0", "results/1.dcm", "00")


def test_a_study_is_not_complete_while_an_association_still_brings_it(side: Gathering) -> None:
    association = side.index.open_association("XRAY", "127.0.0.1", "RADNODE")
    side.index.record(received(), association)
    assert side.complete(3600) == 0
    side.index.close_association(association, "released")
    assert side.complete(0) == 1


def test_a_study_is_complete_once_its_senders_quiet_time_passed(side: Gathering) -> None:
    side.bring(received(), calling="XRAY")
    assert side.complete(1.9) == 0
    assert side.complete(0.2) == 1


def test_a_sender_without_a_quiet_time_of_its_own_gets_the_nodes(side: Gathering) -> None:
    side.bring(received(), calling="UNKNOWN")
    assert side.complete(4.9) == 0
    assert side.complete(0.2) == 1


def test_after_a_reboot_the_quiet_time_has_passed(side: Gathering) -> None:
    side.bring(received())
    side.clock.reboot()
    assert side.complete(0) == 1


def test_each_matching_instance_becomes_one_job(side: Gathering) -> None:
    side.bring(received(1), received(2), received(3, ViewPosition="LL"))
    side.complete()
    assert [inputs(job) for job in jobs(side)] == [[1], [2]]
    assert state(side) == "analysing"


def test_the_reason_of_every_decision_is_stored(side: Gathering) -> None:
    side.bring(received(1), received(2, ViewPosition="LL"))
    side.complete()
    frontal, lateral = describe_study(side.database, "1.2.3").decisions
    assert (frontal.is_match, frontal.instances, lateral.is_match) == (True, 1, False)
    assert any("ViewPosition 'LL' does not match" in reason for reason in lateral.reasons)


def test_a_study_no_rule_wants_is_unmatched_and_says_why(side: Gathering) -> None:
    side.bring(received(BodyPartExamined="HIP"))
    side.complete()
    detail = describe_study(side.database, "1.2.3")
    assert detail.study.state == "unmatched"
    assert "BodyPartExamined 'HIP' does not match 'CHEST'" in detail.decisions[0].reasons


def test_a_study_sent_twice_is_analysed_once(side: Gathering) -> None:
    side.bring(received())
    side.complete()
    assert side.bring(received()) == ["duplicate"]
    assert side.complete(3600) == 0
    assert len(jobs(side)) == 1


def test_a_late_instance_makes_a_new_revision_and_only_its_own_job(side: Gathering) -> None:
    side.bring(received(1))
    side.complete()
    side.bring(received(2))
    assert state(side) == "receiving"
    side.complete()
    assert [(job.revision, inputs(job)) for job in jobs(side)] == [(1, [1]), (2, [2])]
    assert describe_study(side.database, "1.2.3").study.revision == 2


def test_our_own_result_sent_back_is_kept_and_ignored(side: Gathering) -> None:
    side.bring(received(1))
    side.complete()
    claim = side.queue.claim("worker-1")
    assert claim
    side.queue.finish(claim, [a_result()])
    own = received(9, SOPInstanceUID="2.25.1", SeriesInstanceUID="2.25.0", Modality="SEG",
                   SOPClassUID=uid.SegmentationStorage)
    assert side.bring(own, own) == ["own result", "own result"]
    assert side.complete(3600) == 0
    detail = describe_study(side.database, "1.2.3")
    assert detail.study.revision == 1
    assert [(s.modality, s.instances, s.own_results) for s in detail.series] == [("DX", 1, 0), ("SEG", 0, 1)]


def test_a_job_that_a_later_revision_does_not_want_is_cancelled(side: Gathering) -> None:
    side.bring(received(1))
    side.complete()
    nothing = side.settings.model_copy(update={"rules": ()})
    assembly = Assembly(side.database, nothing, Catalog([]), side.clock)
    side.bring(received(2))
    side.clock.pass_seconds(2)
    assert assembly.complete_quiet_studies() == 1
    assert [job.state for job in jobs(side)] == [JobState.CANCELLED]
    assert state(side) == "unmatched"


def test_two_rules_that_want_the_same_model_make_one_job_with_both_destinations(tmp_path: Path) -> None:
    back = LUNG_RULE.model_copy(update={"name": "back", "destination": ("sender",)})
    side = gathering(tmp_path, (LUNG_RULE, back))
    side.bring(received())
    side.complete()
    (job,) = jobs(side)
    assert job.destinations == ["PACS", "sender:XRAY"]


def test_a_rule_for_a_model_that_is_not_installed_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ModelCardError, match="model 'absent' is not installed; installed: chest_dx_lungs"):
        gathering(tmp_path, (LUNG_RULE.model_copy(update={"model": "absent"}),))
