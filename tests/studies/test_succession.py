"""Which earlier job a job of a new revision replaces, and what becomes of work nobody wants any more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from model_copies import copy_model
from pydicom import uid
from rows import LUNG_RULE, Gathering, gathering, received
from sqlalchemy import select

from node.catalog import Catalog
from node.database import Job, JobInput
from node.errors import LeaseLost
from node.jobs.queue import Claim, StoredResult
from node.states import JobState
from node.studies.assembly import Assembly
from node.studies.succession import find_predecessor
from node.vocabulary import ReceivedInstance

SERIES_INPUT = '[input.image]\nlevel = "series"\nmodality = ["CT"]\n\n[output.right_lung]'


def with_series_model(side: Gathering, folder: Path, version: str = "1") -> Gathering:
    """Let the rule of a gathering side give whole CT series to this version of a model."""
    model = copy_model("chest_dx_lungs", folder / f"models-{version}" / "ct_any_series")
    card = (model / "model.toml").read_text().replace("chest_dx_lungs", "ct_any_series")
    before, after = card.split("[input.image]")[0], card.split("[output.right_lung]")[1]
    (model / "model.toml").write_text(before + SERIES_INPUT + after)
    with (model / "preprocess.py").open("a") as code:
        code.write(f"# version {version}\n")
    rule = LUNG_RULE.model_copy(update={"model": "ct_any_series", "modality": ("CT",), "body_part": ()})
    settings = side.settings.model_copy(update={"rules": (rule,)})
    return replace(side, assembly=Assembly(side.database, settings, Catalog([model.parent]), side.clock))


@pytest.fixture
def side(tmp_path: Path) -> Gathering:
    return with_series_model(gathering(tmp_path, rules=()), tmp_path)


def slices(*numbers: int, series: int = 2, **facts: Any) -> list[ReceivedInstance]:
    geometry = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "SOPClassUID": uid.CTImageStorage, "Modality": "CT"}
    return [
        received(
            series * 100 + number,
            SeriesInstanceUID=f"1.2.3.{series}",
            ImagePositionPatient=[0, 0, 5.0 * number],
            **geometry | facts,
        )
        for number in numbers
    ]


def claimed(side: Gathering) -> Claim:
    claim = side.queue.claim("worker-1")
    assert claim is not None
    return claim


def finish(side: Gathering) -> int:
    """End the next job with a result, and return its key."""
    claim = claimed(side)
    result = StoredResult("text_report", uid.EnhancedSRStorage, f"2.25.{claim.job_id}", "2.25.0", "r.dcm", "00")
    side.queue.finish(claim, [result])
    return claim.job_id


def jobs(side: Gathering) -> list[Job]:
    with side.database.reading() as session:
        return list(session.scalars(select(Job).order_by(Job.id)))


def revise(side: Gathering, *instances: ReceivedInstance) -> None:
    side.bring(*instances)
    assert side.complete(60) == 1


def test_a_job_of_the_first_revision_replaces_nothing(side: Gathering) -> None:
    revise(side, *slices(1, 2, 3))
    assert [job.predecessor_id for job in jobs(side)] == [None]


def test_each_revision_replaces_the_one_before(side: Gathering) -> None:
    for late in ((1, 2, 3), (4,), (5, 6)):
        revise(side, *slices(*late))
        finish(side)
    assert [(job.revision, job.predecessor_id) for job in jobs(side)] == [(1, None), (2, 1), (3, 2)]


def test_a_revision_that_came_to_nothing_is_passed_over(side: Gathering) -> None:
    revise(side, *slices(1, 2, 3))
    finish(side)
    revise(side, *slices(4))
    side.queue.refuse(claimed(side), "uneven slices")
    revise(side, *slices(5))
    assert [job.predecessor_id for job in jobs(side)] == [None, 1, 1]


def test_a_series_of_its_own_replaces_nothing_and_what_is_unchanged_is_not_replaced(side: Gathering) -> None:
    revise(side, *slices(1, 2, 3))
    finish(side)
    revise(side, *slices(1, 2, 3, series=7))
    assert [job.predecessor_id for job in jobs(side)] == [None, None]


def test_the_same_images_under_a_new_model_replace_the_results_of_the_old(side: Gathering, tmp_path: Path) -> None:
    revise(side, *slices(1, 2, 3))
    finish(side)
    side = with_series_model(side, tmp_path, version="2")
    revise(side, *slices(1, 2, series=7, Modality="OT"))
    first, second = jobs(side)
    assert first.model_sha256 != second.model_sha256
    assert second.predecessor_id == first.id


def done(number: int, *instance_ids: int, model: str = "ct_any_series") -> Job:
    return Job(id=number, model=model, inputs=[JobInput(instance_id=instance_id) for instance_id in instance_ids])


@pytest.mark.parametrize(
    ("outdated", "expected"),
    [
        ([], None),
        ([done(1, 7, 8)], None),
        ([done(1, 1, 2, model="ct_other_model")], None),
        ([done(1, 1, 2, 3), done(2, 3, 9)], 1),
        ([done(1, 1, 2), done(2, 1, 2)], 2),
        ([done(1)], None),
    ],
)
def test_what_is_replaced_is_the_latest_job_of_the_model_that_saw_most_of_the_same_images(
    outdated: list[Job], expected: int | None
) -> None:
    assert find_predecessor("ct_any_series", [1, 2, 3, 4], outdated) == expected


@pytest.mark.parametrize("is_running", [False, True])
def test_a_late_instance_ends_a_job_without_it_and_its_worker_is_fenced_off(side: Gathering, is_running: bool) -> None:
    revise(side, *slices(1, 2, 3))
    claim = claimed(side) if is_running else None
    revise(side, *slices(4))
    assert [job.state for job in jobs(side)] == [JobState.CANCELLED, JobState.QUEUED]
    assert jobs(side)[0].reason == "not wanted by revision 2"
    if claim is not None:
        with pytest.raises(LeaseLost):
            side.queue.finish(claim, [])
    assert jobs(side)[1].predecessor_id is None
