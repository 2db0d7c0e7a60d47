"""The main journey: real chest X-rays from dcmtk into a served node, results in a real Orthanc."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from builders import CR, chest_dx, mirrored, read_picture, rotated, write
from orthanc import PORT, TITLE, Namespace, Orthanc, namespace, orthanc, require_orthanc
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    Comprehensive3DSRStorage,
    EnhancedSRStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)
from served import BUILD_SECONDS, children_of, memory_map, network_of, wait_until_it_answers
from validators import findings
from waiting import PATIENCE_SECONDS, until

from node.catalog import Catalog, bundled_models
from node.database import Database
from node.inference.analysis import analyse
from node.results.read_back import read_segments, read_sentences
from node.studies.overview import StudyDetail, describe_study, list_deliveries, list_studies

NODE_PORT = 11112
ENDED = {"done", "unmatched", "attention", "held"}
RESULT_CLASSES = [
    SegmentationStorage,
    Comprehensive3DSRStorage,
    Comprehensive3DSRStorage,
    EnhancedSRStorage,
    SecondaryCaptureImageStorage,
]


@dataclass(frozen=True)
class Journey:
    """A served node, the Orthanc at the other end, and what was sent, by the word for each study."""

    network: Namespace
    pacs: Orthanc
    folder: Path
    sent: dict[str, Dataset]
    node: subprocess.Popen[bytes]

    @property
    def database(self) -> Database:
        return Database(self.folder / "node" / "radnode-data" / "radnode.db")

    def detail(self, word: str) -> StudyDetail:
        return describe_study(self.database, self.sent[word].StudyInstanceUID)

    def send(self, *paths: Path) -> None:
        """Push files with dcmtk's dcmsend."""
        answer = self.network.run(
            "dcmsend", "--aetitle", TITLE, "--call", "RADNODE", "127.0.0.1", NODE_PORT, *paths
        )
        assert answer.returncode == 0, answer.stderr.decode()

    def wait_until_quiet(self) -> None:
        """Wait until every study has ended and Orthanc has nothing more to forward."""
        until(
            lambda: {line.state for line in list_studies(self.database)} <= ENDED and self.pacs.jobs_ended(),
            self.folder / "node.log",
            BUILD_SECONDS,
        )

    def returned(self, word: str) -> list[Dataset]:
        """Return what Orthanc holds of a study, as it gives it back."""
        uid = self.sent[word].StudyInstanceUID
        datasets = map(dcmread, sorted((self.folder / "fetched").glob("*.dcm")))
        return [dataset for dataset in datasets if dataset.StudyInstanceUID == uid]

    def segmentation(self, word: str) -> Dataset:
        (found,) = [d for d in self.returned(word) if d.SOPClassUID == SegmentationStorage]
        return found

    def sentences(self, word: str) -> str:
        (text,) = [d for d in self.returned(word) if d.SOPClassUID == EnhancedSRStorage]
        return "\n".join(read_sentences(text))


def real_studies(shared: Path) -> dict[str, Dataset]:
    """Return the studies of the journey: real images, wrapped where they came without DICOM."""
    data = shared / "data"
    with (data / "cxr_v7" / "images.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "val" and row["licence_class"] == "open"]
    pictures = [read_picture(data / "cxr_v7" / row["image"]) for row in rows]
    upright = ("L", "F")
    mirror, mirror_orientation = mirrored(pictures[0], upright)
    turned, turned_orientation = rotated(pictures[0], upright)
    misc = {"scanner dx": "DX_fdfe27_dx_image", "hip": "CR_07a3f3_RG2_J2KI", "hand": "CR_d06de3_RG3_JPLY"}
    return {
        "with spacing": chest_dx(pictures[0], spacing=(0.8, 0.8), patient_id="J1"),
        "without spacing": chest_dx(pictures[1], spacing=None, orientation=None, patient_id="J2"),
        "monochrome1": chest_dx(pictures[2], photometric="MONOCHROME1", bits=12, patient_id="J3"),
        "computed": chest_dx(pictures[3], sop_class=CR, patient_id="J4"),
        "mirrored": chest_dx(mirror, spacing=(0.8, 0.8), orientation=mirror_orientation, patient_id="J5"),
        "rotated": chest_dx(turned, spacing=(0.8, 0.8), orientation=turned_orientation, patient_id="J6"),
        "lateral": chest_dx(pictures[4], ViewPosition="LL", patient_id="J7"),
        "nih": dcmread(data / "cxr_nih14" / "nih_cxr_1024.dcm"),
        **{word: dcmread(data / "dicom_misc" / f"{name}.dcm") for word, name in misc.items()},
    }


@contextmanager
def served_node(network: Namespace, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run `radnode serve` as an administrator would set it up: `radnode init`, one peer, return to sender."""
    config = folder / "node"
    subprocess.run([sys.executable, "-m", "node", "init", str(config)], check=True, capture_output=True)
    (config / "peers.toml").write_text(
        f'[peer.PACS]\nae_title = "{TITLE}"\nhost = "127.0.0.1"\nport = {PORT}\nquiet_seconds = 1.0\n'
        "commitment = true\n"
    )
    command = network.command(sys.executable, "-m", "node", "serve", "--config", config / "node.toml")
    with (folder / "node.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            wait_until_it_answers(network, process, NODE_PORT)
            yield process
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)


@pytest.fixture(scope="module")
def journey(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    require_orthanc()
    folder = tmp_path_factory.mktemp("journey")
    sent = real_studies(shared)
    paths = [write(dataset, folder / "sent") for dataset in sent.values()]
    with (
        namespace() as network,
        orthanc(network, folder / "orthanc", NODE_PORT) as pacs,
        served_node(network, folder) as node,
    ):
        journey = Journey(network, pacs, folder, sent, node)
        journey.send(*paths)
        journey.wait_until_quiet()
        pacs.fetch(folder / "fetched")
        yield journey


CHESTS = ["with spacing", "without spacing", "monochrome1", "computed", "mirrored", "rotated"]


@pytest.mark.parametrize("word", CHESTS)
def test_every_chest_gets_its_segmentation_its_three_reports_and_a_picture(journey: Journey, word: str) -> None:
    assert journey.detail(word).study.state == "done"
    assert sorted(d.SOPClassUID for d in journey.returned(word)) == sorted(RESULT_CLASSES)


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("hip", "BodyPartExamined 'HIP' does not match"),
        ("hand", "BodyPartExamined 'EXTREMITY' does not match"),
        ("nih", "BodyPartExamined '' does not match"),
        ("lateral", "ViewPosition 'LL' does not match"),
    ],
)
def test_what_does_not_fit_is_kept_and_says_why_it_was_not_analysed(
    journey: Journey, word: str, reason: str
) -> None:
    detail = journey.detail(word)
    assert detail.study.state == "unmatched"
    assert any(reason in sentence for decision in detail.decisions for sentence in decision.reasons)
    assert journey.returned(word) == []


@pytest.mark.parametrize("word", CHESTS)
def test_the_mask_in_the_pacs_is_the_networks_mask_pixel_for_pixel(journey: Journey, word: str) -> None:
    model = Catalog([bundled_models()])["chest_dx_lungs"]
    network = network_of(model)
    expected = analyse({"image": [journey.sent[word]]}, model, network.predict).description.findings
    segments = read_segments(journey.segmentation(word))
    assert [segment.label for segment in segments] == [finding.label for finding in expected]
    for segment, finding in zip(segments, expected, strict=True):
        np.testing.assert_array_equal(segment.mask, finding.mask)
        assert segment.mask.any()


def test_the_validators_accept_everything_that_came_back(journey: Journey, shared: Path, tmp_path: Path) -> None:
    """The images sent keep their own faults: one has no spacing on purpose, one came so from its scanner."""
    everything = tmp_path / "objects"
    shutil.copytree(journey.folder / "fetched", everything)
    sources = {write(journey.sent[word], everything).name for word in CHESTS}
    errors = [found for found in findings(shared, everything) if found[2] == "ERROR"]
    assert [found for found in errors if found[0] not in sources] == []


def test_sides_are_named_only_where_the_header_gives_them(journey: Journey) -> None:
    def labels(word: str) -> set[str]:
        return {segment.label for segment in read_segments(journey.segmentation(word))}

    assert labels("with spacing") == labels("mirrored") == labels("rotated") == {"Right lung", "Left lung"}
    assert labels("without spacing") == {"Lung 1", "Lung 2"}
    assert "not called left or right because the image has no PatientOrientation" in journey.sentences(
        "without spacing"
    )


def test_a_mirrored_and_a_rotated_image_give_the_same_lungs_to_the_same_sides(journey: Journey) -> None:
    def areas(word: str) -> dict[str, int]:
        return {s.label: int(s.mask.sum()) for s in read_segments(journey.segmentation(word))}

    assert areas("mirrored") == areas("with spacing")
    assert areas("rotated") == areas("with spacing")


def test_areas_are_given_only_where_the_spacing_can_be_trusted(journey: Journey) -> None:
    assert "mm2" in journey.sentences("with spacing")
    assert "No area is given" in journey.sentences("without spacing")
    assert "mm2" not in journey.sentences("without spacing")


def test_an_animal_that_lies_on_its_side_is_refused_by_the_gate(journey: Journey) -> None:
    detail = journey.detail("scanner dx")
    (job,) = detail.jobs
    assert (detail.study.state, job.state) == ("attention", "refused")
    assert job.reason.startswith("Input gate for chest X-rays: the picture lies on its side")
    assert journey.returned("scanner dx") == []


def test_every_result_says_that_it_is_not_for_diagnosis(journey: Journey) -> None:
    assert all("not for diagnosis" in journey.sentences(word) for word in CHESTS)


def test_orthanc_commits_to_every_result_and_reports_to_the_node(journey: Journey) -> None:
    until(
        lambda: {line.state for line in list_deliveries(journey.database)} == {"committed"}, journey.folder / "node.log"
    )
    assert len(list_deliveries(journey.database)) == len(CHESTS) * len(RESULT_CLASSES)
    assert {journey.detail(word).study.state for word in CHESTS} == {"done"}


def test_results_that_orthanc_forwards_back_are_kept_and_cause_no_work(journey: Journey) -> None:
    for word in CHESTS:
        detail = journey.detail(word)
        assert sum(series.own_results for series in detail.series) == len(RESULT_CLASSES)
        assert (detail.study.revision, len(detail.jobs)) == (1, 1)


def test_the_same_study_sent_twice_gives_one_result(journey: Journey) -> None:
    before = set(journey.pacs.instances())
    journey.send(*(write(journey.sent[word], journey.folder / "again") for word in ("with spacing", "computed")))
    time.sleep(2.5)
    journey.wait_until_quiet()
    assert set(journey.pacs.instances()) == before
    assert journey.detail("with spacing").study.revision == 1
    names = [event.name for event in journey.detail("with spacing").events]
    assert names.count("instance repeated") == 1
    assert names.count("job queued") == 1


def test_the_process_that_answers_peers_has_no_inference_library_in_memory(journey: Journey) -> None:
    workers = children_of(journey.node.pid)
    node = memory_map(journey.node.pid)
    assert "tensorflow" not in node
    assert "openvino" not in node
    assert any("openvino" in memory_map(worker) for worker in workers)
    assert not any("tensorflow" in memory_map(worker) for worker in workers)


def test_no_log_line_and_no_event_names_a_patient(journey: Journey) -> None:
    log = (journey.folder / "node.log").read_text()
    events = str([event.detail for word in journey.sent for event in journey.detail(word).events])
    for dataset in journey.sent.values():
        for marker in (str(dataset.PatientName), str(dataset.PatientID)):
            assert f"{marker} " not in f"{log} "
            assert marker not in events.split("'")
