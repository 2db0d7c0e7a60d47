"""The overlay picture shows every segment where it is, and says what it is not for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from builders import chest_dx, shaded_picture
from numpy.typing import NDArray
from PIL import Image

from node.demo.picture import WARNING, Overlay, draw_overlay
from node.imaging.image import PlanarImage
from node.imaging.radiograph import read_radiograph

BLUE, ORANGE = (40, 120, 255), (255, 120, 40)


@pytest.fixture
def image() -> PlanarImage:
    return read_radiograph(chest_dx(shaded_picture(rows=121, columns=95)))


def rectangle(image: PlanarImage, rows: slice, columns: slice) -> NDArray[np.bool_]:
    mask = np.zeros(image.pixels.shape, np.bool_)
    mask[rows, columns] = True
    return mask


def read(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def places_of(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.intp]:
    return np.argwhere((picture == colour).all(axis=2))


def test_each_segment_is_outlined_where_its_mask_lies(image: PlanarImage, tmp_path: Path) -> None:
    left = Overlay("Right lung", rectangle(image, slice(30, 90), slice(10, 40)), BLUE)
    right = Overlay("Left lung", rectangle(image, slice(30, 90), slice(55, 85)), ORANGE)
    picture = read(draw_overlay(image, [left, right], "", tmp_path / "overlay.png"))
    scale = picture.shape[1] / image.pixels.shape[1]
    for overlay, first, last in ((left, 10, 40), (right, 55, 85)):
        places = places_of(picture, overlay.colour_rgb)
        drawn = places[places[:, 0] < scale * 121]  # above the legend
        assert drawn[:, 1].min() == pytest.approx(first * scale, abs=scale)
        assert drawn[:, 1].max() == pytest.approx(last * scale, abs=scale)


def test_the_radiograph_shows_through_a_segment(image: PlanarImage, tmp_path: Path) -> None:
    whole = Overlay("Lung", np.ones(image.pixels.shape, np.bool_), BLUE)
    plain = read(draw_overlay(image, [], "", tmp_path / "plain.png"))[100:900]
    tinted = read(draw_overlay(image, [whole], "", tmp_path / "tinted.png"))[100:900]
    assert np.corrcoef(plain[..., 1].ravel(), tinted[..., 1].ravel())[0, 1] > 0.99
    assert tinted[..., 2].mean() > tinted[..., 0].mean() + 20


def test_every_picture_says_it_is_not_for_diagnosis(image: PlanarImage, tmp_path: Path) -> None:
    picture = read(draw_overlay(image, [], "nothing found", tmp_path / "overlay.png"))
    assert len(places_of(picture[:45], WARNING)) > 100


def test_a_long_caption_makes_the_picture_higher_not_wider(image: PlanarImage, tmp_path: Path) -> None:
    short = read(draw_overlay(image, [], "Phantom", tmp_path / "short.png"))
    long = read(draw_overlay(image, [], "the area is measured at the detector " * 8, tmp_path / "long.png"))
    assert long.shape[1] == short.shape[1]
    assert long.shape[0] > short.shape[0]


def test_a_picture_can_be_written_into_a_folder_that_is_not_there_yet(
    image: PlanarImage, tmp_path: Path
) -> None:
    path = draw_overlay(
        image, [Overlay("174 cm²", image.padding, BLUE)], "", tmp_path / "new" / "overlay.png"
    )
    assert read(path).shape[2] == 3
