"""The pictures of a report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from node.errors import TrainingDataError
from node.training.learning_curves import TRAINING, VALIDATION, draw_learning_curves
from node.training.pictures import Panel, draw_panels, heat, outline, stretch_grey, tint

RED, GREEN = (255, 0, 0), (0, 255, 0)


def write_log(file: Path, epochs: int = 30) -> Path:
    lines = ["epoch,loss,val_loss,dice,val_dice"]
    for epoch in range(epochs):
        fall = 0.9**epoch
        lines.append(f"{epoch},{fall},{0.8 * fall + 0.1},{1 - fall},{0.9 - 0.8 * fall}")
    file.write_text("\n".join(lines) + "\n")
    return file


def load(file: Path) -> Image.Image:
    with Image.open(file) as opened:
        return opened.copy()


def rows_of(picture: Image.Image, colour: tuple[int, int, int], columns: slice) -> np.ndarray:
    """Return the mean row in which a colour is, for each column that has it."""
    pixels = np.asarray(picture.convert("RGB")).astype(int)[40:, columns]
    near = np.abs(pixels - colour).sum(axis=-1) < 60
    return np.array([np.flatnonzero(column).mean() for column in near.T if column.any()])


def test_curves_show_training_and_validation_of_every_column(tmp_path: Path) -> None:
    file = draw_learning_curves(write_log(tmp_path / "epochs.csv"), tmp_path / "curves.png", ("loss", "dice"))
    assert file.stat().st_size < 50_000
    picture = load(file)
    assert picture.size == (840, 300)
    loss, dice = slice(0, 420), slice(420, 840)
    for colour in (TRAINING, VALIDATION):
        falling, rising = rows_of(picture, colour, loss), rows_of(picture, colour, dice)
        assert falling[5] < falling[-5] - 100
        assert rising[5] > rising[-5] + 100
    assert rows_of(picture, TRAINING, loss)[-5] > rows_of(picture, VALIDATION, loss)[-5]


def test_a_training_of_one_epoch_has_curves_too(tmp_path: Path) -> None:
    file = draw_learning_curves(write_log(tmp_path / "epochs.csv", epochs=1), tmp_path / "curves.png")
    assert load(file).size == (420, 300)


def test_curves_of_a_column_that_nobody_kept_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingDataError, match="holds no epoch with accuracy"):
        draw_learning_curves(write_log(tmp_path / "epochs.csv"), tmp_path / "curves.png", ("accuracy",))
    with pytest.raises(TrainingDataError, match="train first"):
        draw_learning_curves(tmp_path / "missing.csv", tmp_path / "curves.png")


def test_panels_stand_side_by_side_in_their_proportions(tmp_path: Path) -> None:
    white, wide = np.ones((50, 50), np.float32), np.full((50, 100), 0.5, np.float32)
    file = draw_panels([[Panel(white, "truth"), Panel(wide, "found")], [Panel(wide)]], tmp_path / "x.png", height=80)
    picture = np.asarray(load(file).convert("L"))
    assert picture.shape == (2 * 98 + 6, 80 + 6 + 160)
    assert picture[58, 40] == 255
    assert abs(int(picture[58, 166]) - 128) <= 2
    assert abs(int(picture[162, 40]) - 128) <= 2


def test_an_outline_lies_inside_its_mask_and_leaves_the_rest_grey() -> None:
    mask = np.zeros((9, 9), np.bool_)
    mask[2:7, 2:7] = True
    drawn = outline(np.full((9, 9), 0.5, np.float32), {RED: mask})
    is_red = (drawn == (1, 0, 0)).all(axis=-1)
    assert is_red.sum() == 16
    assert not (is_red & ~mask).any()
    np.testing.assert_allclose(drawn[~is_red], 0.5)


def test_a_tint_mixes_the_colour_into_the_grey() -> None:
    mask = np.array([[True, False]])
    drawn = tint(np.array([[0.5, 0.5]], np.float32), {GREEN: mask}, opacity=0.5)
    np.testing.assert_allclose(drawn, [[[0.25, 0.75, 0.25], [0.5, 0.5, 0.5]]])


def test_heat_leaves_cold_places_as_they_are_and_makes_hot_ones_yellow() -> None:
    drawn = heat(np.full((1, 3), 0.4, np.float32), np.array([[0.0, 0.5, 1.0]], np.float32), opacity=1.0)
    np.testing.assert_allclose(drawn, [[[0.4, 0.4, 0.4], [1, 0, 0], [1, 1, 0]]], atol=1e-6)


def test_grey_is_stretched_between_percentiles_and_flat_pictures_are_black() -> None:
    values = np.arange(1001, dtype=np.float32).reshape(1, -1)
    stretched = stretch_grey(values, (10, 90))
    assert (stretched[0, 100], stretched[0, 500], stretched[0, 900]) == pytest.approx((0, 0.5, 1))
    assert not stretch_grey(np.ones((3, 3), np.float32)).any()
