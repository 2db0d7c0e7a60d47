"""Whole scanner series from dcmtk into a served node: volumes analysed or refused by name, results in Orthanc."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from exchange import Exchange, Site, exchange, faults_of_results
from pydicom import dcmread
from pydicom.uid import EnhancedSRStorage, SegmentationStorage
from served import network_of
from site_model import NAME, write_site_model
from volumes import read_all, unpack, with_one_frame_of_reference

from node.catalog import Catalog, bundled_models
from node.delivery.folder import find_instances
from node.inference.analysis import analyse
from node.results.read_back import read_sentences, read_volume_segments

PATIENCE_SECONDS = 600  # networks are converted first

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

ARCHIVES = {
    "chest lidc": "dicom_series/ct_chest_philips_lidc_138of275",
    "chest lungdx": "ct_chest_lungdx/ct_",
    "tilted head": "dicom_series/ct_head_ge_gantrytilt_28",
    "child t1": "dicom_series/mr_t1_siemens_skyra_3y_192",
    "gap t1": "mr_dicom/mr_t1_memprage_siemens_trio_175",
    "rounded pd": "mr_dicom/mr_pd_axial_ge_signa_5mm_20",
    "enhanced t1": "mr_dicom/mr_enhanced_t1_siemens_xa30_96frames",
}
ANALYSED = {
    "chest lidc mended": "chest_ct_lungs",
    "chest lungdx": "chest_ct_lungs",
    "child t1": NAME,
    "rounded pd": NAME,
    "enhanced t1": NAME,
}
REFUSED = {"chest lidc": "FrameOfReferenceUID", "tilted head": "tilt", "gap t1": "between"}

ROUTES = f"""
[[rule]]
name = "chest CT lungs"
model = "chest_ct_lungs"
destination = ["PACS"]
modality = ["CT"]

[[rule]]
name = "bright MR"
model = "{NAME}"
destination = ["PACS"]
modality = ["MR"]
"""


def unpack_all(data: Path, folder: Path) -> dict[str, list[Path]]:
    """Unpack every series; the LIDC one also comes with the frame of reference its de-identifier took apart."""
    series = {}
    for word, start in ARCHIVES.items():
        (archive,) = (data / start).parent.glob(f"{Path(start).name}*.tar.xz")
        unpack(archive, folder / word.replace(" ", "_"))
        series[word] = find_instances(folder / word.replace(" ", "_"))
    series["chest lidc mended"] = mend(series["chest lidc"], folder / "mended")
    return series


def mend(paths: list[Path], folder: Path) -> list[Path]:
    """Write the series as another study, in one frame of reference."""
    folder.mkdir()
    mended = []
    for number, dataset in enumerate(with_one_frame_of_reference(read_all(paths)), start=1):
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "2.25.1381", "2.25.1382"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"2.25.1383.{number}"
        dataset.save_as(folder / f"{number:04}.dcm")
        mended.append(folder / f"{number:04}.dcm")
    return mended


@pytest.fixture(scope="module")
def journey(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    folder = tmp_path_factory.mktemp("series")
    series = unpack_all(shared / "data", folder / "sent")
    models = write_site_model(folder / "models").parent
    with exchange(folder, series, Site(ROUTES, f'[node]\nmodels = ["{models}"]\n'), PATIENCE_SECONDS) as done:
        yield done


@pytest.mark.parametrize("word", ANALYSED)
def test_a_series_that_forms_a_volume_is_analysed_and_its_results_are_delivered(journey: Exchange, word: str) -> None:
    detail = journey.detail(word)
    assert detail.study.state == "done", detail.jobs
    assert [job.model for job in detail.jobs] == [ANALYSED[word]]
    assert {d.SOPClassUID for d in journey.returned(word)} >= {SegmentationStorage, EnhancedSRStorage}


@pytest.mark.parametrize("word", REFUSED)
def test_a_series_that_forms_no_volume_is_refused_by_name_and_nothing_is_sent(journey: Exchange, word: str) -> None:
    detail = journey.detail(word)
    assert detail.study.state == "attention"
    assert {job.state for job in detail.jobs} == {"refused"}
    assert all(REFUSED[word] in job.reason for job in detail.jobs), detail.jobs
    assert journey.returned(word) == []


@pytest.mark.parametrize("word", ["chest lungdx", "rounded pd", "enhanced t1"])
def test_the_masks_in_the_pacs_are_the_networks_masks_voxel_for_voxel(journey: Exchange, word: str) -> None:
    """One file of the GE series ends in 2.5 MB of zeros; dcmsend breaks it, and the node refuses that one."""
    model = Catalog([bundled_models(), journey.folder / "models"])[ANALYSED[word]]
    (role,) = model.card.input
    (job,) = journey.detail(word).jobs
    kept = [dataset for dataset in map(dcmread, journey.sent[word]) if dataset.SOPInstanceUID in job.inputs]
    assert len(kept) == len(journey.sent[word]) - (word == "rounded pd")
    analysis = analyse({role: kept}, model, network_of(model).predict)
    (segmentation,) = [d for d in journey.returned(word) if d.SOPClassUID == SegmentationStorage]
    segments = read_volume_segments(segmentation, analysis.image.sources)
    assert [segment.label for segment in segments] == [finding.label for finding in analysis.description.findings]
    for segment, finding in zip(segments, analysis.description.findings, strict=True):
        np.testing.assert_array_equal(segment.mask, finding.mask)
        assert segment.mask.any()


def test_a_chest_ct_is_described_in_volumes_and_attenuation(journey: Exchange) -> None:
    (report,) = [d for d in journey.returned("chest lidc mended") if d.SOPClassUID == EnhancedSRStorage]
    sentences = "\n".join(read_sentences(report))
    assert "Right lung: volume" in sentences
    assert "cm3" in sentences
    assert "not for diagnosis" in sentences


def test_the_validators_accept_every_result(journey: Exchange, shared: Path, tmp_path: Path) -> None:
    """The images keep whatever faults their scanners gave them; only results are ours.

    The GE series has UIDs under the root 0, which results must copy to belong to their study.
    """
    faults = faults_of_results(shared, tmp_path, journey, {word: journey.returned(word) for word in ANALYSED})
    assert [fault for fault in faults if "Illegal root for UID = <0.0.0.0" not in fault[3]] == []
