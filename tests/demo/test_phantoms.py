"""Phantoms look like chests in the ways a network relies on, and their studies say what they should."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from node.demo.phantoms import DemoStudy, Phantom, draw_phantom, write_demo_studies
from node.imaging.orientation import is_orientation_stated, turn_to_display
from node.imaging.radiograph import read_radiograph
from node.imaging.spacing import area_mm2


@pytest.fixture(scope="module")
def phantoms() -> list[Phantom]:
    return [draw_phantom(seed) for seed in range(3)]


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> list[DemoStudy]:
    return write_demo_studies(tmp_path_factory.mktemp("studies"), 3)


def centre_column(mask: NDArray[np.bool_]) -> float:
    return float(np.flatnonzero(mask.any(axis=0)).mean())


def test_the_same_seed_draws_the_same_phantom_and_another_seed_another(phantoms: list[Phantom]) -> None:
    again = draw_phantom(0)
    assert np.array_equal(again.picture, phantoms[0].picture)
    assert not np.array_equal(phantoms[1].right_lung, phantoms[0].right_lung)


def test_the_patients_right_lung_is_at_the_left_of_the_picture(phantoms: list[Phantom]) -> None:
    for phantom in phantoms:
        assert centre_column(phantom.right_lung) < centre_column(phantom.left_lung)
        assert not (phantom.right_lung & phantom.left_lung).any()


def test_lungs_are_darker_than_the_spine_and_the_abdomen(phantoms: list[Phantom]) -> None:
    for phantom in phantoms:
        lung = np.median(phantom.picture[phantom.right_lung])
        middle = phantom.picture.shape[1] // 2
        assert lung < 0.8 * np.median(phantom.picture[300:600, middle - 20 : middle + 20])
        assert lung < 0.8 * np.median(phantom.picture[-80:, middle - 200 : middle + 200])


def test_the_heart_lies_mostly_to_the_patients_left(phantoms: list[Phantom]) -> None:
    for phantom in phantoms:
        threshold = np.median(phantom.picture)
        bright = {
            side: np.mean(phantom.picture[lung] > threshold)
            for side, lung in (("right", phantom.right_lung), ("left", phantom.left_lung))
        }
        assert bright["left"] > bright["right"]


def test_demo_studies_cover_a_complete_a_bare_and_a_mirrored_header(studies: list[DemoStudy]) -> None:
    assert len({study.study_uid for study in studies}) == 3
    datasets = [pydicom.dcmread(next(study.folder.iterdir())) for study in studies]
    assert [str(dataset.PatientName) for dataset in datasets] == [
        "Phantom^One",
        "Phantom^Two",
        "Phantom^Three",
    ]
    complete, bare, mirrored = [read_radiograph(dataset) for dataset in datasets]
    assert complete.spacing is not None
    assert bare.spacing is None
    assert "ImagerPixelSpacing" in bare.spacing_refusal
    assert not is_orientation_stated(bare)
    assert (mirrored.row_direction, mirrored.column_direction) == ("R", "F")
    assert datasets[2].PhotometricInterpretation == "MONOCHROME1"


def test_the_lungs_of_a_mirrored_demo_study_lie_on_its_stored_pixels(studies: list[DemoStudy]) -> None:
    study = studies[2]
    image = read_radiograph(pydicom.dcmread(next(study.folder.iterdir())))
    shown_right = turn_to_display(image).apply(study.right_lung)
    assert centre_column(study.right_lung) > centre_column(study.left_lung)
    assert centre_column(shown_right) < image.pixels.shape[1] / 2
    assert np.median(image.pixels[study.right_lung]) < np.median(image.pixels)


def test_a_phantoms_lung_is_as_large_as_an_adults(phantoms: list[Phantom], studies: list[DemoStudy]) -> None:
    study = studies[0]
    spacing = read_radiograph(pydicom.dcmread(next(study.folder.iterdir()))).spacing
    assert spacing is not None
    for phantom in phantoms:
        for lung in (phantom.right_lung, phantom.left_lung):
            assert 12_000 < area_mm2(lung, spacing) < 30_000
