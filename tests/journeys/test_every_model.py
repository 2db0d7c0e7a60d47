"""Every model from DICOM to DICOM: real images from dcmtk into a served node, its answers back from a real Orthanc."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from exchange import Exchange, Site, exchange, faults_of_results
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    Comprehensive3DSRStorage,
    EnhancedSRStorage,
    MRImageStorage,
    ParametricMapStorage,
    SegmentationStorage,
)
from served import network_of
from volumes import unpack
from wrapped import mr_series, mr_slice, opt

from node.catalog import Catalog, bundled_models
from node.delivery.folder import find_instances
from node.imaging.series import read_volume
from node.imaging.volume import Unit, grid_with_spacing
from node.imaging.volume_files import read_volume_file
from node.inference.analysis import Analysis, analyse
from node.inference.openvino_network import OpenVinoNetwork
from node.results.read_back import read_map, read_sentences, read_volume_segments
from node.results.read_conclusions import read_conclusions
from node.training.samples import Split
from node.training.subjects import read_subjects

PATIENCE_SECONDS = 800  # networks are converted first

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

Analysed = Callable[[str, str], Analysis]

# Which model answers which study; the head is a test subject whom no network was trained on.
ANSWERS = {
    "head": ("brain_mr_tissue", "brain_mr_age", "brain_mr_sex", "brain_mr_autoencoder"),
    "thick head": ("brain_mr_superres",),
    "slice": ("brain_mr_tumour_type",),
    "eye": ("retina_opt_disease",),
    "chest": ("chest_ct_nodule",),
}


def rules() -> str:
    """Return a rule for each model, which only takes the studies that are for it."""
    wanted = ANSWERS | {"t2 head": ("brain_mr_tissue",)}
    return "".join(
        f'[[rule]]\nname = "{word}: {model}"\nmodel = "{model}"\ndestination = ["PACS"]\n'
        f'study_description = "^{word}$"\n'
        for word, models in wanted.items()
        for model in models
    )


@cache
def catalog() -> Catalog:
    return Catalog([bundled_models()])


@cache
def network(model: str) -> OpenVinoNetwork:
    return network_of(catalog()[model])


def made_by(result: Dataset) -> str:
    """Return the model that a result names as the equipment that contributed to it; "" for a source."""
    names = [item.get("ManufacturerModelName", "") for item in result.get("ContributingEquipmentSequence", [])]
    return next((name for name in names if name in catalog().models), "")


def results(journey: Exchange, word: str, model: str) -> list[Dataset]:
    """Return what came back for a study and was made by a model."""
    return [dataset for dataset in journey.returned(word) if made_by(dataset) == model]


def studies(data: Path) -> dict[str, list[Dataset]]:
    """Return each study as instances: whole heads and pictures wrapped, the chest as its scanner made it."""
    head = read_volume_file(unseen_subject(data / "brain_t1_ixi"), Unit.STORED)
    thick = read_volume_file(data / "brain_mr_ms_thick" / "patient20_study2_T1W.nii.gz", Unit.STORED)
    t2 = read_volume_file(data / "brain_mr_ms_thick" / "patient01_study2_T2W.nii.gz", Unit.STORED)
    picture = np.asarray(Image.open(first_file(data / "brain_tumor_mri", "clean_split")).convert("L"))
    eye = np.asarray(Image.open(first_file(data / "oct_kermany", "split")).convert("L"))
    return {
        "head": mr_series(head.voxels, head.grid, **facts("head")),
        "thick head": mr_series(thick.voxels, thick.grid, **facts("thick head")),
        "t2 head": mr_series(t2.voxels, t2.grid, **facts("t2 head")),
        "slice": [mr_slice(picture, **facts("slice"))],
        "eye": [opt(eye, "L", **facts("eye"))],
    }


def facts(word: str) -> dict[str, str]:
    number = 1 + [*ANSWERS, "t2 head"].index(word)
    return {
        "PatientID": f"every-model-{number}",
        "StudyInstanceUID": f"2.25.14000{number}",
        "StudyDescription": word,
        "BodyPartExamined": "EYE" if word == "eye" else "BRAIN",
    }


def unseen_subject(folder: Path) -> Path:
    """Return the volume of the first subject of the test split."""
    subject = next(subject for subject in read_subjects(folder) if subject.split is Split.TEST)
    return subject.volume


def first_file(folder: Path, split_column: str) -> Path:
    """Return the first picture of the test split of a table."""
    with (folder / "images.csv").open(newline="", encoding="utf-8") as opened:
        row = next(row for row in csv.DictReader(opened) if row[split_column] == "test")
    return folder / row["file"]


def write_all(data: Path, folder: Path) -> dict[str, list[Path]]:
    """Write every study as files; the chest CT is unpacked as it is, but for what names its rule."""
    made = studies(data)
    (archive,) = (data / "ct_chest_lungdx").glob("ct_*.tar.xz")
    unpack(archive, folder / "unpacked")
    made["chest"] = [dcmread(path) for path in find_instances(folder / "unpacked")]
    for dataset in made["chest"]:
        dataset.StudyDescription = "chest"
    return {
        word: [write(dataset, folder / word / f"{number:04}.dcm") for number, dataset in enumerate(datasets)]
        for word, datasets in made.items()
    }


def write(dataset: Dataset, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture(scope="module")
def journey(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    folder = tmp_path_factory.mktemp("models")
    sent = write_all(shared / "data", folder / "sent")
    with exchange(folder, sent, Site(rules()), PATIENCE_SECONDS) as done:
        yield done


@pytest.fixture(scope="module")
def analysed(journey: Exchange) -> Analysed:
    """Say once for each study and model what the model says of the very instances of its job."""

    @cache
    def analysed(word: str, model: str) -> Analysis:
        (job,) = [job for job in journey.detail(word).jobs if job.model == model]
        kept = [dataset for dataset in map(dcmread, journey.sent[word]) if dataset.SOPInstanceUID in job.inputs]
        (role,) = catalog()[model].card.input
        return analyse({role: kept}, catalog()[model], network(model).predict)

    return analysed


def only(datasets: list[Dataset], sop_class: str, title: str = "") -> Dataset:
    """Return the one result of a SOP class whose series description begins with the title."""
    (found,) = [d for d in datasets if d.SOPClassUID == sop_class and d.SeriesDescription.startswith(title)]
    return found


@pytest.mark.parametrize(("word", "model"), [(word, model) for word, models in ANSWERS.items() for model in models])
def test_a_model_answers_with_a_report_in_words(journey: Exchange, word: str, model: str, analysed: Analysed) -> None:
    (job,) = [job for job in journey.detail(word).jobs if job.model == model]
    assert job.state == "done", job.reason
    sentences = "\n".join(read_sentences(only(results(journey, word, model), EnhancedSRStorage)))
    assert "not for diagnosis" in sentences
    for remark in analysed(word, model).remarks:
        assert remark in sentences


def test_a_head_that_is_no_t1_is_refused_by_the_gate(journey: Exchange) -> None:
    (job,) = journey.detail("t2 head").jobs
    assert (job.model, job.state) == ("brain_mr_tissue", "refused")
    assert job.reason.startswith(catalog()["brain_mr_autoencoder"].card.title)


@pytest.mark.parametrize(("word", "model"), [("head", "brain_mr_tissue"), ("chest", "chest_ct_nodule")])
def test_the_masks_in_the_pacs_are_the_networks(journey: Exchange, word: str, model: str, analysed: Analysed) -> None:
    analysis = analysed(word, model)
    findings = analysis.description.findings
    assert findings
    segmentation = only(results(journey, word, model), SegmentationStorage)
    segments = read_volume_segments(segmentation, analysis.image.sources)
    assert [segment.label for segment in segments] == [finding.label for finding in findings]
    for segment, finding in zip(segments, findings, strict=True):
        np.testing.assert_array_equal(segment.mask, finding.mask)


@pytest.mark.parametrize(
    ("word", "model"),
    [
        ("head", "brain_mr_age"),
        ("head", "brain_mr_sex"),
        ("slice", "brain_mr_tumour_type"),
        ("eye", "retina_opt_disease"),
    ],
)
def test_the_conclusions_in_the_pacs_are_the_networks(
    journey: Exchange, word: str, model: str, analysed: Analysed
) -> None:
    (expected,) = analysed(word, model).description.conclusions
    report = only(results(journey, word, model), Comprehensive3DSRStorage, "Conclusions")
    (found,) = read_conclusions(report)
    assert found.label == expected.label
    assert found.probabilities == pytest.approx(
        {choice.code.meaning: choice.probability for choice in expected.choices}, abs=1e-5
    )
    if expected.measurement is not None:
        assert found.estimate.value == pytest.approx(expected.measurement.value, rel=1e-5)
        assert (found.estimate.low, found.estimate.high) == pytest.approx(expected.measurement.interval, rel=1e-4)


def test_the_eye_is_named_with_its_side(journey: Exchange) -> None:
    report = only(results(journey, "eye", "retina_opt_disease"), Comprehensive3DSRStorage, "Conclusions")
    assert [found.side for found in read_conclusions(report)] == ["Left"]


def test_the_error_map_in_the_pacs_is_the_networks(journey: Exchange, analysed: Analysed) -> None:
    analysis = analysed("head", "brain_mr_autoencoder")
    (expected,) = analysis.description.maps
    result = only(results(journey, "head", "brain_mr_autoencoder"), ParametricMapStorage)
    np.testing.assert_array_equal(read_map(result, analysis.image.sources), expected.values)


def test_the_finer_series_in_the_pacs_is_the_networks(journey: Exchange, analysed: Analysed) -> None:
    analysis = analysed("thick head", "brain_mr_superres")
    (expected,) = analysis.description.refinements
    finer = [d for d in results(journey, "thick head", "brain_mr_superres") if d.SOPClassUID == MRImageStorage]
    assert len(finer) == 4 * len(journey.sent["thick head"])
    found = read_volume(finer)
    for place in ((0, 0, 0), (100, 90, 80)):
        refined = grid_with_spacing(analysis.image.grid, tuple(np.divide(analysis.image.grid.spacing_mm, (4, 1, 1))))
        np.testing.assert_allclose(found.grid.position_mm(place), refined.position_mm(place), atol=1e-3)
    step = np.ptp(expected.voxels) / 1000
    np.testing.assert_allclose(found.voxels, expected.voxels, atol=step)
    assert all(result.ImageType[0] == "DERIVED" for result in finer)


def test_the_validators_accept_every_result(journey: Exchange, shared: Path, tmp_path: Path) -> None:
    """Only the results are ours; of the finer series the first instances stand for the rest."""
    some = {
        word: [dataset for model in models for dataset in results(journey, word, model)[:12]]
        for word, models in ANSWERS.items()
    }
    assert faults_of_results(shared, tmp_path, journey, some) == []
