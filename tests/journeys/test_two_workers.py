"""Two workers of one node, each with a job of its own in hand."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import chest_dx, write
from pydicom.dataset import Dataset
from served import COUNT, ServedNode, hanging_model
from waiting import until

from node.demo.pacs import SmallPacs
from node.demo.phantoms import draw_phantom
from node.inference.limits import count_of
from node.settings import WorkersSection


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[SmallPacs]:
    with SmallPacs(tmp_path / "pacs", "PACS") as pacs:
        yield pacs


def node_with(folder: Path, pacs: SmallPacs, count: int, **facts: str) -> ServedNode:
    home = folder / "node"
    home.mkdir()
    return ServedNode(home, pacs, environment={COUNT: str(count)}, **facts)


def patient(number: int) -> Dataset:
    return chest_dx(draw_phantom(number).picture, bits=12, patient_id=f"P{number}", accession_number=f"A{number}")


def test_a_node_that_is_told_no_number_of_workers_chooses_it(tmp_path: Path, pacs: SmallPacs) -> None:
    node = node_with(tmp_path, pacs, 0)
    node.start()
    try:
        until(lambda: len(node.workers()) == count_of(WorkersSection()), node.folder / "node.log")
    finally:
        node.stop()
    assert node.log.count("worker takes its post") == count_of(WorkersSection())


def test_a_worker_that_dies_costs_its_own_job_an_attempt_and_the_other_workers_none(
    tmp_path: Path, pacs: SmallPacs
) -> None:
    model = hanging_model(tmp_path)
    first, second = patient(1), patient(2)
    node = node_with(tmp_path, pacs, 2, settings=f'[node]\nmodels = ["{model.parent}"]\n', model=model.name)
    node.start()
    try:
        for dataset in (first, second):
            node.send(write(dataset, tmp_path / "sent"))
            until((model / "begun").exists, node.folder / "node.log")
            (model / "begun").unlink()  # the other worker makes it again
        assert [job.state for dataset in (first, second) for job in node.study(dataset).jobs] == ["running"] * 2
        os.kill(process_of(node, first), signal.SIGKILL)
        until(lambda: "worker died" in node.log, node.folder / "node.log")
        (model / "hang").unlink()
        details = [node.finished(dataset) for dataset in (first, second)]
    finally:
        node.stop()
    assert [detail.study.state for detail in details] == ["done"] * 2
    assert [job.attempts for detail in details for job in detail.jobs] == [2, 1]
    returned = [dataset.PatientID for dataset in node.returned()]
    assert sorted(returned) == ["P1"] * 5 + ["P2"] * 5


def process_of(node: ServedNode, dataset: Dataset) -> int:
    """Return the process that holds the job of a study, by the post that claimed it."""
    (claimed,) = [event.detail for event in node.study(dataset).events if event.name == "job claimed"]
    (pid,) = re.findall(rf"worker takes its post worker={claimed['worker']} pid=(\d+)", node.log)
    return int(pid)
