"""When a study is complete, and which jobs come of it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from model_copies import copy_model
from pydicom import uid
from rows import LUNG_RULE, Gathering, gathering, received
from sqlalchemy import Engine, select
from sqlalchemy.orm import selectinload

from node.catalog import Catalog
from node.database import Instance, Job, JobInput
from node.errors import ModelCardError
from node.jobs.queue import StoredResult
from node.settings import Priority, Rule
from node.states import JobState
from node.studies.assembly import Assembly
from node.studies.intervention import complete_study
from node.studies.overview import describe_study
from node.vocabulary import ReceivedInstance


@pytest.fixture
def side(tmp_path: Path) -> Gathering:
    return gathering(tmp_path)


def jobs(side: Gathering) -> list[Job]:
    with side.database.reading() as session:
        series = selectinload(Job.inputs).joinedload(JobInput.instance).joinedload(Instance.series)
        return list(session.scalars(select(Job).options(series).order_by(Job.id)))


def inputs(job: Job) -> list[int]:
    return [entry.instance_id for entry in job.inputs]


def state(side: Gathering, study_uid: str = "1.2.3") -> str:
    return describe_study(side.database, study_uid).study.state


def event(side: Gathering, name: str) -> dict[str, object]:
    """Return the detail of the last event of this name."""
    return [e.detail for e in describe_study(side.database, "1.2.3").events if e.name == name][-1]


@contextmanager
def statements_of_sessions() -> Iterator[list[str]]:
    """Give the statements that sessions run within the block; prepared ones are not among them."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    sqlalchemy.event.listen(Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        sqlalchemy.event.remove(Engine, "before_cursor_execute", note)


def slice_at(number: int, z: float, **facts: Any) -> ReceivedInstance:
    """Return a CT slice of series 2 at this height."""
    geometry = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "ImagePositionPatient": [0, 0, z]}
    ct = {"Modality": "CT", "SeriesInstanceUID": "1.2.3.2", "SOPClassUID": uid.CTImageStorage, "SeriesNumber": 2}
    return received(number, **{**ct, **geometry, **facts})


INPUTS = """
[input.plain]
level = "series"
modality = ["CT"]
contrast = false
choose = "thinnest"
slices = {min = 2}

[input.contrast]
level = "series"
contrast = true

[output.right_lung]"""


def series_model(folder: Path) -> Catalog:
    """Return a catalog with a model that takes a series without and one with contrast."""
    copy = copy_model(LUNG_RULE.model, folder / "models" / "ct_two_series")
    card = (copy / "model.toml").read_text().replace(LUNG_RULE.model, "ct_two_series")
    before, after = card.split("[input.image]")[0], card.split("[output.right_lung]")[1]
    (copy / "model.toml").write_text(before + INPUTS + after)
    return Catalog([folder / "models"])


def stack(slices: int, without: tuple[int, ...] = (), **facts: Any) -> list[ReceivedInstance]:
    return [slice_at(i + 1, 5.0 * i, **facts) for i in range(slices) if i not in without]


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


def test_after_a_reboot_a_study_that_was_waiting_has_waited_enough(side: Gathering) -> None:
    side.bring(received())
    assert side.complete(0) == 0
    side.clock.reboot()
    assert side.complete(0) == 1


def test_a_person_completes_a_study_that_was_waiting(side: Gathering) -> None:
    side.bring(received())
    assert side.complete(0) == 0
    complete_study(side.database, side.clock, "1.2.3")
    assert side.complete(0) == 1


def test_a_study_that_waits_is_not_read_before_its_time(side: Gathering) -> None:
    side.bring(received())
    assert side.complete(0) == 0
    with statements_of_sessions() as statements:
        assert side.complete(1.9) == 0
        assert not statements
        assert side.complete(0.1) == 1
        assert statements


def test_the_reason_of_completion_is_stored(side: Gathering) -> None:
    side.bring(received())
    side.complete()
    assert event(side, "study complete") == {"revision": 1, "reason": "quiet for 2 s"}


def test_a_study_is_complete_at_once_when_all_that_was_announced_is_there(side: Gathering) -> None:
    side.bring(*stack(10, NumberOfStudyRelatedInstances=10))
    assert side.complete(0) == 1
    assert event(side, "study complete")["reason"] == "all 10 expected instances"


def test_announced_instances_complete_no_study_that_an_association_still_brings(side: Gathering) -> None:
    association = side.index.open_association("XRAY", "127.0.0.1", "RADNODE")
    side.index.record(received(NumberOfStudyRelatedInstances=1), association)
    assert side.complete(3600) == 0


def test_a_study_with_a_hole_between_its_slices_waits_and_says_so(side: Gathering) -> None:
    side.bring(*stack(10, without=(4,)))
    assert side.complete(59) == 0
    assert side.complete(1) == 1
    assert event(side, "study complete")["reason"] == "gap at z = 20.0 mm (1 missing) in series 2; waited 60 s"


def test_the_slice_that_fills_the_hole_ends_the_wait(side: Gathering) -> None:
    side.bring(*stack(10, without=(4,)))
    assert side.complete(30) == 0
    side.bring(slice_at(5, 20.0))
    assert side.complete(2) == 1
    assert event(side, "study complete")["reason"] == "quiet for 2 s"


def test_our_own_results_are_not_counted_among_the_expected(side: Gathering) -> None:
    side.bring(received(1))
    side.complete()
    claim = side.queue.claim("worker-1")
    assert claim
    side.queue.finish(claim, [a_result()])
    side.bring(received(9, SOPInstanceUID="2.25.1", SeriesInstanceUID="2.25.0", SOPClassUID=uid.SegmentationStorage))
    side.bring(received(2, NumberOfStudyRelatedInstances=3))
    assert side.complete(30) == 0
    side.bring(received(3))
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
    own = received(
        9, SOPInstanceUID="2.25.1", SeriesInstanceUID="2.25.0", Modality="SEG", SOPClassUID=uid.SegmentationStorage
    )
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


def test_a_model_of_whole_series_gets_every_instance_of_its_inputs(tmp_path: Path) -> None:
    side = gathering(tmp_path)
    rule = Rule(name="two", model="ct_two_series", destination=("PACS",))
    settings = side.settings.model_copy(update={"rules": (rule,)})
    side = replace(side, assembly=Assembly(side.database, settings, series_model(tmp_path), side.clock))
    thin = [slice_at(n, float(n), SliceThickness=1, SeriesInstanceUID="1.2.3.3", SeriesNumber=3) for n in range(20, 26)]
    after = [slice_at(n, 5.0 * n, SeriesInstanceUID="1.2.3.4", ContrastBolusAgent="X") for n in range(30, 33)]
    side.bring(*stack(4, SliceThickness=5), *thin, *after)
    side.complete()
    (job,) = jobs(side)
    roles = [(entry.role, entry.instance.series.series_instance_uid) for entry in job.inputs]
    assert roles == [("plain", "1.2.3.3")] * 6 + [("contrast", "1.2.3.4")] * 3
    decisions = describe_study(side.database, "1.2.3").decisions
    assert [(d.series, d.instances, d.is_match) for d in decisions] == [
        ("2 CT", 4, False), ("3 CT", 6, True), ("2 CT", 3, True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("priority", "asked", "rank"),
    [("routine", "", 2), ("urgent", "", 1), ("routine", "STAT", 0), ("routine", "HIGH", 1), ("stat", "LOW", 0)],
)
def test_a_job_goes_as_soon_as_its_rule_or_its_images_ask(tmp_path: Path, priority: str, asked: str, rank: int) -> None:
    side = gathering(tmp_path, (LUNG_RULE.model_copy(update={"priority": Priority(priority)}),))
    side.bring(received(RequestedProcedurePriority=asked))
    side.complete()
    assert [job.priority for job in jobs(side)] == [rank]


def test_a_rule_that_is_switched_off_queues_nothing_and_says_why(tmp_path: Path) -> None:
    side = gathering(tmp_path, (LUNG_RULE.model_copy(update={"enabled": False}),))
    side.bring(received())
    side.complete()
    assert state(side) == "unmatched"
    assert describe_study(side.database, "1.2.3").decisions[0].reasons[0].startswith("the rule is switched off")


def test_the_log_says_nothing_of_the_images_descriptions(side: Gathering, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    side.bring(*stack(10, without=(4,), SeriesDescription="MARKER", StudyDescription="MARKER", SeriesNumber=None))
    side.complete(60)
    assert "study complete" in caplog.text
    assert "MARKER" not in str([record.__dict__ for record in caplog.records])


def test_a_rule_for_a_model_that_is_not_installed_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ModelCardError, match=r"model 'absent' is not installed; installed: .*chest_dx_lungs"):
        gathering(tmp_path, (LUNG_RULE.model_copy(update={"model": "absent"}),))
