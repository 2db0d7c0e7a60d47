"""A late slice, from the archive to the PACS: new results that name the reports they replace."""

from __future__ import annotations

from pathlib import Path

import pytest
from delivery.parcels import scp
from inference.analysing import Analysing, analysing, documents, uids
from pydicom.dataset import Dataset
from pynetdicom import evt
from volumes import mr_study

from node.database import Job
from node.errors import LeaseLost
from node.jobs.queue import Claim
from node.studies.overview import describe_study, list_deliveries

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras 3 with NumPy 2

REPORTS = {"measurement_report", "text_report"}
SLICES = mr_study(slices=8)


@pytest.fixture
def node(tmp_path: Path) -> Analysing:
    return analysing(tmp_path)


def test_the_reports_of_a_revision_name_those_they_replace(node: Analysing) -> None:
    first = node.results(node.analyse(*SLICES[:7]))
    second = node.results(node.analyse(SLICES[7]))
    assert uids(first.values()).isdisjoint(uids(second.values()))
    assert all(documents(result) == set() for result in first.values())
    assert documents(second["measurement_report"]) == uids([first["measurement_report"]])
    assert documents(second["text_report"]) == uids([first["measurement_report"], first["text_report"]])
    assert {kind for kind, result in second.items() if documents(result)} == REPORTS


def test_a_worker_that_lost_its_lease_wrote_the_very_files_that_the_next_one_writes(node: Analysing) -> None:
    node.analyse(*SLICES[:7])
    node.bring(SLICES[7])
    node.side.complete(60)
    late, next_one = claimed(node), claimed(node)
    with pytest.raises(LeaseLost):
        node.execution.run(late)
    written = set((node.folder / "results").rglob("*.dcm"))
    node.execution.run(next_one)
    assert set((node.folder / "results").rglob("*.dcm")) == written


def claimed(node: Analysing) -> Claim:
    """Claim the next job, and let its lease run out."""
    claim = node.side.queue.claim("worker-1")
    assert claim is not None
    node.side.clock.pass_seconds(31)
    return claim


def test_the_guard_lets_a_revision_go_to_the_pacs_after_what_it_replaces(node: Analysing) -> None:
    node.analyse(*SLICES[:7])
    node.analyse(SLICES[7])
    arrived: list[Dataset] = []

    def keep(event: evt.Event) -> int:
        arrived.append(event.dataset)
        return 0x0000

    with scp(keep) as port:
        node.outbox(port).send_due("PACS")
    assert {line.state for line in list_deliveries(node.side.database)} == {"sent"}
    places = {str(dataset.SOPInstanceUID): place for place, dataset in enumerate(arrived)}
    replacing = [dataset for dataset in arrived if documents(dataset)]
    assert len(replacing) == len(REPORTS)
    assert all(places[uid] < places[str(dataset.SOPInstanceUID)] for dataset in replacing for uid in documents(dataset))


def test_a_revision_that_names_a_report_its_row_does_not_know_is_held(node: Analysing) -> None:
    node.analyse(*SLICES[:7])
    job = node.analyse(SLICES[7])
    with node.side.database.writing() as session:
        session.get_one(Job, job.id).predecessor_id = None
    with scp() as port:
        node.outbox(port).send_due("PACS")
    study = describe_study(node.side.database, SLICES[0].StudyInstanceUID).study
    assert study.state == "held"
    assert "names the predecessor" in study.reason
