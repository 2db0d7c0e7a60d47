"""The way to the radiological display and back, for every PatientOrientation a frontal image can have."""

from __future__ import annotations

import numpy as np
import pytest

from node.errors import StudyRefused
from node.imaging.image import PlanarImage
from node.imaging.orientation import Turn, turn_to_display

# Rows, columns and corners of a picture on the display: the patient's right upper corner is 0.
DISPLAYED = np.arange(12.0, dtype=np.float32).reshape(3, 4)
STORED = {
    ("L", "F"): DISPLAYED,
    ("R", "F"): DISPLAYED[:, ::-1],
    ("L", "H"): DISPLAYED[::-1],
    ("R", "H"): DISPLAYED[::-1, ::-1],
    ("F", "L"): DISPLAYED.T,
    ("F", "R"): DISPLAYED[:, ::-1].T,
    ("H", "L"): DISPLAYED[::-1].T,
    ("H", "R"): DISPLAYED[::-1, ::-1].T,
}


def stored_image(row_direction: str, column_direction: str) -> PlanarImage:
    pixels = np.ascontiguousarray(STORED.get((row_direction[:1], column_direction[:1]), DISPLAYED))
    return PlanarImage(pixels, np.zeros(pixels.shape, np.bool_), row_direction, column_direction)


@pytest.mark.parametrize(("row_direction", "column_direction"), list(STORED))
def test_an_image_stored_in_any_of_eight_ways_is_displayed_the_same(
    row_direction: str, column_direction: str
) -> None:
    image = stored_image(row_direction, column_direction)
    np.testing.assert_array_equal(turn_to_display(image).apply(image.pixels), DISPLAYED)


@pytest.mark.parametrize(("row_direction", "column_direction"), list(STORED))
def test_a_mask_goes_back_to_the_stored_grid_exactly(row_direction: str, column_direction: str) -> None:
    image = stored_image(row_direction, column_direction)
    mask = np.random.default_rng(3).random(DISPLAYED.shape) > 0.5
    turn = turn_to_display(image)
    returned = turn.undo(mask)
    assert returned.shape == image.pixels.shape
    np.testing.assert_array_equal(turn.apply(returned), mask)


def test_an_oblique_direction_counts_as_its_principal_letter() -> None:
    assert turn_to_display(stored_image("RA", "FP")) == turn_to_display(stored_image("R", "F"))


@pytest.mark.parametrize(("row_direction", "column_direction"), [("", ""), ("L", ""), ("", "F")])
def test_an_image_without_a_complete_orientation_stays_as_displayed(
    row_direction: str, column_direction: str
) -> None:
    assert turn_to_display(stored_image(row_direction, column_direction)) == Turn()


@pytest.mark.parametrize(("row_direction", "column_direction"), [("A", "F"), ("L", "R"), ("H", "F"), ("X", "F")])
def test_a_view_that_is_not_frontal_is_refused_with_what_was_found(
    row_direction: str, column_direction: str
) -> None:
    with pytest.raises(StudyRefused, match=rf"PatientOrientation is {row_direction}\\{column_direction}"):
        turn_to_display(stored_image(row_direction, column_direction))
