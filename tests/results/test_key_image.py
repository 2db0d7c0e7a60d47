"""The key image: what is drawn is where the mask is, and the header says what it was made from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders import chest_dx
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from results.conclusion_requests import on_opt, sex, tumour_type
from results.lung_requests import encoded, finding, request, two_lungs
from results.volume_requests import ORIENTATIONS, enhanced_series, mr_series, two_sides, volume_of

from node.errors import FindingRefused
from node.imaging.image import PlanarImage
from node.imaging.ophthalmic import PlanarFrames
from node.imaging.volume import Unit, Volume
from node.results.encode import encode_results
from node.results.key_image import picture_of, picture_of_volume
from node.results.legend import BAR, BAR_GROUND, LINE_PIXELS, MARGIN, Line, draw_legend
from node.results.overlay import Overlay, draw_overlays
from node.results.request import KeyPicture, ResultKind, ResultRequest
from node.vocabulary import Finding

HEAD = LINE_PIXELS + MARGIN
ORANGE = (220, 120, 60)


def square(size: tuple[int, int] = (50, 100)) -> NDArray[np.bool_]:
    mask = np.zeros(size, dtype=bool)
    mask[10:20, 30:60] = True
    return mask


def dark(size: tuple[int, int] = (50, 100)) -> NDArray[np.float32]:
    return np.zeros(size, dtype=np.float32)


def volume_for(sources: list[Dataset], unit: Unit = Unit.STORED) -> Volume:
    slice_sources, grid = volume_of(sources)
    voxels = np.arange(np.prod(grid.shape), dtype=np.int16).reshape(grid.shape)
    return Volume(voxels, grid, unit, np.zeros(grid.shape, dtype=bool), slice_sources, "1.2.3")


def pictured(sources: list[Dataset]) -> ResultRequest:
    made = two_sides(sources)
    return replace(made, picture=picture_of_volume(volume_for(sources), made.findings))


def test_a_finding_is_drawn_where_its_mask_is() -> None:
    drawn = draw_overlays(dark(), (1, 1), [Overlay("Lung.", square(), ORANGE)], [])
    picture = drawn[HEAD : HEAD + 500]
    assert picture.shape == (500, 1000, 3)
    rows, columns = np.nonzero(picture.any(axis=-1))
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (100, 200, 300, 600)
    assert tuple(picture[100, 450]) == ORANGE
    assert tuple(picture[150, 450]) == (55, 30, 15)


def test_where_two_findings_lie_over_each_other_one_colour_is_laid_over_the_other() -> None:
    overlays = [Overlay("Lung.", square(), ORANGE), Overlay("Heart.", square(), (0, 100, 200))]
    picture = draw_overlays(dark() + 0.4, (1, 1), overlays, [])[HEAD : HEAD + 500]
    assert tuple(picture[50, 50]) == (102, 102, 102)
    assert tuple(picture[150, 450]) == (99, 104, 119)  # a quarter of its colour over (132, 106, 92), which is over grey


def test_pixels_that_are_not_square_are_drawn_in_their_true_shape() -> None:
    drawn = draw_overlays(dark(), (3, 1), [Overlay("Lung.", square(), ORANGE)], [])
    rows, columns = np.nonzero(drawn[HEAD : HEAD + 1000].any(axis=-1))
    assert rows.max() + 1 - rows.min() == pytest.approx((columns.max() + 1 - columns.min()), abs=2)


def test_a_long_sentence_is_broken_into_lines_that_fit() -> None:
    short, long = (draw_overlays(dark(), (1, 1), [Overlay("Lung " * count, square(), ORANGE)], []) for count in (2, 60))
    assert long.shape[0] > short.shape[0]
    assert not long[:, -MARGIN:].any(axis=-1)[HEAD + 500 :].any()


def test_the_picture_of_a_volume_is_the_slice_on_which_most_was_found() -> None:
    sources = mr_series(ORIENTATIONS["axial"])
    mask = np.zeros((5, 13, 11), dtype=bool)
    mask[1, 2:4, 2:4] = mask[3, 2:9, 2:9] = True
    picture = picture_of_volume(volume_for(sources), [finding(mask, is_measured=False)])
    assert picture.slice_number == 3
    assert picture.pixels.shape == (13, 11)
    assert (picture.pixels.min(), picture.pixels.max()) == (0.0, 1.0)


def test_houndsfield_units_are_shown_in_one_window_for_every_slice() -> None:
    volume = volume_for(mr_series(ORIENTATIONS["axial"]), Unit.HOUNSFIELD)
    mask = np.zeros((5, 13, 11), dtype=bool)
    mask[2] = True
    picture = picture_of_volume(volume, [finding(mask, is_measured=False)])
    assert picture.pixels == pytest.approx(np.clip((volume.voxels[2] + 1000) / 1400, 0, 1))


@pytest.mark.parametrize("sources", [mr_series(ORIENTATIONS["oblique"]), enhanced_series(ORIENTATIONS["oblique"])])
def test_a_key_image_names_the_slice_it_shows(sources: list[Dataset]) -> None:
    made = pictured(sources)
    assert made.picture is not None
    assert made.picture.slice_number is not None
    shown = made.slice_sources[made.picture.slice_number]
    (reference,) = encoded(made)[ResultKind.KEY_IMAGE].SourceImageSequence
    assert reference.ReferencedSOPInstanceUID == shown.sop_instance_uid
    assert reference.get("ReferencedFrameNumber") == shown.frame_number


def coloured(legend: Image.Image, colour: tuple[int, int, int]) -> list[int]:
    """Return how many pixels of the colour each row has, rows without it left out."""
    per_row = (np.asarray(legend) == colour).all(axis=-1).sum(axis=1)
    return per_row[per_row > 0].tolist()


def test_a_bar_is_as_long_as_the_probability() -> None:
    half, whole = (coloured(draw_legend([Line("Glioma", share=share)], 800), BAR)[0] for share in (0.5, 1.0))
    assert half == pytest.approx(whole / 2, abs=1)


def test_a_class_that_is_impossible_has_no_bar() -> None:
    legend = draw_legend([Line("Glioma", share=0.0)], 800)
    assert coloured(legend, BAR) == []
    assert coloured(legend, BAR_GROUND) != []


def test_bars_begin_below_each_other_however_long_their_names_are() -> None:
    legend = draw_legend([Line("Glioma", share=0.7), Line("Pituitary tumour", share=0.7)], 800)
    assert len(set(coloured(legend, BAR))) == 1


def test_a_long_name_leaves_half_the_width_to_its_bar() -> None:
    legend = draw_legend([Line("Pituitary " * 20, share=1.0)], 800)
    assert coloured(legend, BAR)[0] > 300


def test_the_key_image_of_a_classification_has_a_bar_for_every_class() -> None:
    pixels = encoded(on_opt())[ResultKind.KEY_IMAGE].pixel_array
    bars = coloured(Image.fromarray(pixels), BAR)
    longest, shortest = max(bars), min(bars)
    assert longest / shortest == pytest.approx(9, rel=0.05)


def test_the_picture_of_a_conclusion_is_the_slice_it_names() -> None:
    volume = volume_for(mr_series(ORIENTATIONS["axial"]))
    assert picture_of(volume, [], [sex(), tumour_type(4)]).slice_number == 4
    assert picture_of(volume, [], [sex()]).slice_number == 2


def test_the_picture_of_a_planar_image_is_all_of_it_or_the_frame_that_is_named() -> None:
    image = PlanarImage(dark(), np.zeros((50, 100), dtype=bool))
    assert picture_of(image, [], [sex()]).slice_number is None
    others = [replace(image, pixels=image.pixels + number / 10) for number in range(4)]
    frames = PlanarFrames(image.pixels, image.padding, frames=tuple(others))
    picture = picture_of(frames, [], [tumour_type(3)])
    assert picture.slice_number == 3
    np.testing.assert_array_equal(picture.pixels, others[3].pixels)


def test_a_key_image_says_what_it_is(shared: Path) -> None:
    made = two_lungs(shared)
    image = encoded(made)[ResultKind.KEY_IMAGE]
    assert (image.PhotometricInterpretation, image.BurnedInAnnotation) == ("RGB", "NO")
    assert list(image.ImageType)[:2] == ["DERIVED", "SECONDARY"]
    assert (image.DateOfSecondaryCapture, image.TimeOfSecondaryCapture) == ("20250304", "050607.000089")
    assert image.PatientOrientation == made.source.PatientOrientation
    assert image.pixel_array.shape == (image.Rows, image.Columns, 3)


def test_a_key_image_has_the_same_bytes_each_time() -> None:
    made = pictured(mr_series(ORIENTATIONS["axial"]))
    assert encode_results(made) == encode_results(made)


def test_a_picture_of_another_size_is_refused() -> None:
    made = request(chest_dx(np.ones((50, 100), dtype=np.uint8)), [lung()], picture=KeyPicture(dark((100, 50))))
    with pytest.raises(FindingRefused, match=r"\(100, 50\), its source \(50, 100\)"):
        encode_results(made)


def lung() -> Finding:
    return finding(square())
