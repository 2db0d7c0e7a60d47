"""The loop of a worker: what a job may bring, and what is recorded of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from inference.analysing import Analysing, analysing
from site_model import write_site_model
from sqlalchemy import select
from volumes import mr_study
from waiting import PATIENCE_SECONDS, until

from node.database import Job
from node.errors import PixelsRefused
from node.imaging.budget import PixelBudget
from node.inference.limits import WorkLimits, count_of, machine_bytes, memory_bytes_of, most_samples_of
from node.inference.pulse import Pulse, PulseMonitor
from node.inference.serving import has_gpu
from node.inference.worker import Post, Worker
from node.settings import WorkersSection
from node.states import JobState
from node.studies.overview import describe_study

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras 3 with NumPy 2

GREEDY = """

def prepare(volume):
    return np.empty((1 << 20, 1 << 20, 1 << 20), np.float32)
"""


@contextmanager
def working(node: Analysing) -> Iterator[PulseMonitor]:
    """Let a worker of this process run until no job waits."""
    monitor = PulseMonitor()
    post = Post("worker-1", os.getppid(), Pulse(monitor.far_end))
    worker = Worker(post, WorkLimits(1.0, 60.0, {}), node.side.queue, node.execution)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield monitor
    finally:
        worker.stop()
        thread.join(PATIENCE_SECONDS)
        monitor.listen()
        monitor.close()


def job(node: Analysing) -> Job:
    with node.side.database.reading() as session:
        return session.scalars(select(Job)).one()


def ended(node: Analysing) -> Job:
    until(lambda: job(node).state not in {JobState.QUEUED, JobState.RUNNING})
    return job(node)


def test_a_job_that_asks_for_more_memory_than_there_is_fails_after_its_attempts_and_says_so(tmp_path: Path) -> None:
    model = write_site_model(tmp_path / "models")
    with (model / "preprocess.py").open("a") as code:
        code.write(GREEDY)
    node = analysing(tmp_path, model)
    datasets = mr_study(slices=4)
    node.bring(*datasets)
    node.side.complete(60)
    with working(node):
        failed = ended(node)
    assert (failed.state, failed.attempts) == (JobState.FAILED, 3)
    assert failed.reason.startswith("MemoryError: Unable to allocate")
    assert "memory_mb" in failed.reason
    assert describe_study(node.side.database, datasets[0].StudyInstanceUID).study.state == "attention"


def test_a_worker_that_goes_on_is_heard(tmp_path: Path) -> None:
    with working(analysing(tmp_path)) as monitor:
        until(lambda: monitor.silent_seconds() < 5 and monitor.has_beaten)


def test_images_beyond_the_pixel_budget_are_refused_before_anything_is_decoded(tmp_path: Path) -> None:
    datasets = mr_study(slices=4)
    for dataset in datasets:
        dataset.PixelData = dataset.PixelData[:2]  # which no decoder would take
    samples = sum(dataset.Rows * dataset.Columns for dataset in datasets)
    node = analysing(tmp_path, most_samples=samples - 1)
    refused = node.analyse(*datasets)
    assert refused.state is JobState.REFUSED
    assert refused.reason.startswith(f"PixelData: found {samples} samples by its header, expected at most")


def test_images_within_the_pixel_budget_are_analysed(tmp_path: Path) -> None:
    datasets = mr_study(slices=4)
    node = analysing(tmp_path, most_samples=sum(dataset.Rows * dataset.Columns for dataset in datasets))
    assert node.analyse(*datasets).state is JobState.DONE


def test_an_instance_without_patient_id_is_never_analysed(tmp_path: Path) -> None:
    refused = analysing(tmp_path).analyse(*mr_study(slices=4, PatientID=""))
    assert refused.state is JobState.REFUSED
    assert "PatientID is empty" in refused.reason


EXCHANGING = """

def interpret(prediction, volume):
    import pathlib
    import pydicom

    place = pathlib.Path(pathlib.Path(__file__).with_name("exchange").read_text())
    source = pydicom.dcmread(place)
    source.PatientID = "SOMEONE-ELSE"
    place.chmod(0o600)
    source.save_as(place)
    return Interpretation()
"""


def test_an_image_that_is_exchanged_while_it_is_analysed_holds_the_study_and_nothing_is_kept(tmp_path: Path) -> None:
    model = write_site_model(tmp_path / "models")
    with (model / "preprocess.py").open("a") as code:
        code.write(EXCHANGING)
    node = analysing(tmp_path, model)
    datasets = mr_study(slices=4)
    node.bring(*datasets)
    node.side.complete(60)
    (model / "exchange").write_text(str(next((tmp_path / "instances").rglob("*.dcm"))))
    failed = node.run()
    study = describe_study(node.side.database, datasets[0].StudyInstanceUID)
    assert (failed.state, study.study.state) == (JobState.FAILED, "held")
    assert "PatientID" in study.study.reason
    assert "SOMEONE" not in study.study.reason
    assert list((tmp_path / "results").rglob("*.dcm")) == []
    assert "study held" in {event.name for event in study.events}


@pytest.mark.parametrize("keyword", ["Rows", "Columns", "SamplesPerPixel", "NumberOfFrames"])
def test_every_factor_of_the_pixel_budget_counts(keyword: str) -> None:
    (dataset,) = mr_study(slices=1)
    samples = dataset.Rows * dataset.Columns
    PixelBudget(samples).spend(dataset)
    setattr(dataset, keyword, 2 * dataset.get(keyword, 1))
    with pytest.raises(PixelsRefused, match=f"found {2 * samples} samples"):
        PixelBudget(samples).spend(dataset)


def test_what_workers_may_take_together_leaves_memory_for_the_node() -> None:
    for count in (0, 1, 2, 8):
        section = WorkersSection(count=count)
        assert 0 < count_of(section) * memory_bytes_of(section) <= 0.75 * machine_bytes()
    assert memory_bytes_of(WorkersSection(count=8, memory_mb=3000)) == 3000 << 20
    assert 0 < most_samples_of(WorkersSection(memory_mb=3000)) < 3000 << 20


def test_a_node_that_is_told_no_number_has_two_workers_only_where_both_have_cores_and_memory() -> None:
    share = int(0.75 * machine_bytes()) >> 20
    assert count_of(WorkersSection(count=7)) == 7
    assert count_of(WorkersSection(memory_mb=share // 2 + 1)) == 1
    cores = os.sched_getaffinity(0)
    assert count_of(WorkersSection(memory_mb=share // 2)) == (2 if len(cores) > 1 and not has_gpu() else 1)
    os.sched_setaffinity(0, {min(cores)})
    try:
        assert count_of(WorkersSection(memory_mb=share // 2)) == 1
    finally:
        os.sched_setaffinity(0, cores)


def test_a_second_worker_leaves_the_first_memory_for_long_series() -> None:
    assert most_samples_of(WorkersSection()) >= min(1600 * 512 * 512, most_samples_of(WorkersSection(count=1)))
