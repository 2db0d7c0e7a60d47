"""The lungs of CT series, whichever way the slices run, and which side they are called."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from turned import turn_array, turned
from volumes import read_all, unpack

from node.catalog import Catalog
from node.errors import PixelsRefused, StudyRefused
from node.imaging.series import read_volume
from node.imaging.volume import Grid, Unit, Volume
from node.inference.loading import load_part
from node.training.samples import Split
from node.training.scores import score
from node.vocabulary import Interpretation, Mask, Pixels

MODEL = Catalog([Path(__file__).resolve().parents[2] / "models"])["chest_ct_lungs"]
PART = load_part(MODEL.folder, "preprocess")
SMALL = load_part(MODEL.folder, "scanner").Protocol(matrix=112, least_step_mm=5.0)
WHOLE_CHEST, ABDOMEN = 4004, 4021  # seeds of phantoms of which a scan shows this

Analyse = Callable[[Volume], Interpretation]
Box = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]

# Boxes in the patient: from and to of x (right to left), y (front to back) and z (feet to head) in mm.
RIGHT: Box = ((-100.0, -20.0), (-60.0, 60.0), (20.0, 180.0))
LEFT: Box = ((20.0, 100.0), (-60.0, 60.0), (20.0, 180.0))
BRIDGE: Box = ((-24.0, 24.0), (-60.0, -50.0), (80.0, 120.0))


@cache
def phantom(seed: int) -> Any:
    return load_part(MODEL.folder, "phantoms").draw_phantom(seed, SMALL)


@pytest.fixture(scope="module")
def analyse() -> Analyse:
    """Return the whole model: prepare, network, interpret."""
    predict = load_part(MODEL.folder, "evaluate").load_network(MODEL.weights)
    return lambda volume: PART.interpret(predict(PART.prepare(volume)), volume)


def body(unit: Unit = Unit.HOUNSFIELD, tissue_hu: int = 40) -> Volume:
    """Return a block of tissue in air, of odd size, its middle at x = y = 0."""
    steps = ((0.0, 0.0, 5.0), (0.0, 3.1, 0.0), (2.9, 0.0, 0.0))
    grid = Grid((41, 87, 101), (-145.0, -133.3, 0.0), steps)
    voxels = np.full(grid.shape, -1000, np.int16)
    voxels[:, 10:-10, 8:-8] = tissue_hu
    return Volume(voxels, grid, unit, np.zeros(grid.shape, np.bool_), (), "2.25.1")


def marked(volume: Volume, *boxes: Box) -> Pixels:
    """Return a prediction that marks boxes of the patient."""
    grid = PART.network_grid(volume)
    return inside(grid, *boxes).astype(np.float32)[..., np.newaxis]


def inside(grid: Grid, *boxes: Box) -> Mask:
    """Return which voxels of a grid along the patient's axes lie in any of the boxes."""
    z, y, x = (
        grid.origin_mm[2 - axis] + np.arange(grid.shape[axis]) * grid.steps_mm[axis][2 - axis] for axis in range(3)
    )
    masks = [
        ((z >= box[2][0]) & (z <= box[2][1]))[:, None, None]
        & ((y >= box[1][0]) & (y <= box[1][1]))[:, None]
        & ((x >= box[0][0]) & (x <= box[0][1]))
        for box in boxes
    ]
    return np.asarray(np.any(masks, axis=0))


def masks_of(found: Interpretation) -> dict[str, Mask]:
    return {region.output: region.mask for region in found.regions}


def dice(mask: Mask, truth: Mask) -> float:
    return score(truth.astype(np.float32), mask).dice


@pytest.mark.parametrize(
    ("axes", "flips"),
    [
        ((0, 1, 2), (0,)),
        ((0, 1, 2), (0, 2)),
        ((0, 1, 2), (1, 2)),
        ((1, 0, 2), (0,)),
        ((2, 0, 1), (0, 1)),
    ],
    ids=["reversed slices", "feet first", "prone", "coronal", "sagittal"],
)
def test_a_series_stored_another_way_has_the_same_right_and_left_lung(
    axes: tuple[int, int, int], flips: tuple[int, ...]
) -> None:
    volume = body()
    expected = masks_of(PART.interpret(marked(volume, RIGHT, LEFT), volume))
    other = turned(volume, axes, flips)
    found = masks_of(PART.interpret(marked(other, RIGHT, LEFT), other))
    assert found.keys() == {"right_lung", "left_lung", "lungs"}
    for name, mask in found.items():
        np.testing.assert_array_equal(mask, turn_array(expected[name], axes, flips))


def test_the_network_sees_the_same_patient_whichever_way_the_slices_run() -> None:
    volume = phantom(WHOLE_CHEST).volume
    seen = PART.prepare(volume)
    for axes, flips in (((0, 1, 2), (0, 2)), ((1, 0, 2), (0,))):
        other = PART.prepare(turned(volume, axes, flips))
        assert other.shape == seen.shape
        assert np.abs(other - seen).mean() < 0.02


def test_masks_lie_on_the_voxels_of_the_series_where_the_patient_has_lungs() -> None:
    volume = body()
    found = masks_of(PART.interpret(marked(volume, RIGHT, LEFT), volume))
    for name, box in (("right_lung", RIGHT), ("left_lung", LEFT)):
        mask = found[name]
        assert mask.shape == volume.voxels.shape
        centre = volume.grid.position_mm(tuple(np.argwhere(mask).mean(axis=0)))
        half_voxel = np.array(volume.grid.spacing_mm[::-1]) / 2
        assert (np.abs(centre - np.mean(box, axis=1)) < half_voxel).all()
        assert dice(mask, inside(volume.grid, box)) > 0.95


def test_the_right_lung_is_where_patient_coordinates_are_lower() -> None:
    volume = phantom(WHOLE_CHEST).volume
    found = masks_of(PART.interpret(marked(volume, RIGHT, LEFT), volume))
    columns = {name: np.argwhere(found[name])[:, 2].mean() for name in ("right_lung", "left_lung")}
    assert volume.grid.steps_mm[2][0] > 0
    assert columns["right_lung"] < columns["left_lung"]


def test_lungs_that_touch_are_told_apart_where_the_bridge_is() -> None:
    volume = body()
    found = masks_of(PART.interpret(marked(volume, RIGHT, LEFT, BRIDGE), volume))
    assert not (found["right_lung"] & found["left_lung"]).any()
    assert dice(found["right_lung"], inside(volume.grid, RIGHT)) > 0.95
    assert dice(found["left_lung"], inside(volume.grid, LEFT)) > 0.95
    np.testing.assert_array_equal(found["lungs"], found["right_lung"] | found["left_lung"])


@pytest.mark.parametrize(
    "boxes",
    [
        [RIGHT],
        [((-100.0, -20.0), (-60.0, 60.0), (20.0, 80.0)), ((-100.0, -20.0), (-60.0, 60.0), (110.0, 180.0))],
        [((-100.0, 100.0), (-60.0, 60.0), (20.0, 180.0))],
    ],
    ids=["one lung", "one lung in two parts", "one block"],
)
def test_lungs_that_are_no_pair_are_given_together_and_the_report_says_why(boxes: list[Box]) -> None:
    volume = body()
    found = PART.interpret(marked(volume, *boxes), volume)
    assert [region.output for region in found.regions] == ["lungs"]
    assert dice(found.regions[0].mask, inside(volume.grid, *boxes)) > 0.93
    assert "not called left or right" in found.remarks[0]


def test_bowel_gas_is_not_a_pair_of_lungs() -> None:
    volume = body()
    gas = (((-60.0, -35.0), (-40.0, -10.0), (20.0, 60.0)), ((30.0, 65.0), (-40.0, -5.0), (30.0, 70.0)))
    found = PART.interpret(marked(volume, *gas), volume)
    assert found.regions == ()
    assert found.remarks[0].startswith("No lungs were found: what looks like lung measures")


def test_air_above_the_lungs_is_not_counted_and_a_part_between_them_is() -> None:
    volume = body()
    chin: Box = ((-60.0, 60.0), (-110.0, -80.0), (188.0, 204.0))
    lobe: Box = ((-14.0, 12.0), (0.0, 50.0), (100.0, 150.0))
    found = masks_of(PART.interpret(marked(volume, RIGHT, LEFT, chin, lobe), volume))
    assert dice(found["lungs"], inside(volume.grid, RIGHT, LEFT, lobe)) > 0.95
    assert not (found["lungs"] & inside(volume.grid, chin)).any()
    assert (found["lungs"] & inside(volume.grid, lobe)).any()


def test_a_series_that_ends_inside_the_lungs_is_remarked() -> None:
    volume = body()
    cut = [(x, y, (20.0, 300.0)) for x, y, _ in (RIGHT, LEFT)]
    assert "ends inside the lungs" in PART.interpret(marked(volume, *cut), volume).remarks[0]
    assert PART.interpret(marked(volume, RIGHT, LEFT), volume).remarks == ()


def test_padding_is_never_lung() -> None:
    volume = body()
    volume.padding[:, :, :40] = True
    found = PART.interpret(marked(volume, RIGHT, LEFT), volume)
    assert not any((region.mask & volume.padding).any() for region in found.regions)


def test_a_series_that_is_not_in_hounsfield_units_is_refused() -> None:
    with pytest.raises(StudyRefused, match="lungs are found by Hounsfield units"):
        PART.prepare(body(unit=Unit.STORED))


def test_a_series_of_nothing_but_air_is_refused() -> None:
    with pytest.raises(PixelsRefused, match="there is no body"):
        PART.prepare(body(tissue_hu=-1000))


def test_the_same_seed_draws_the_same_phantom_and_another_seed_another() -> None:
    draw = load_part(MODEL.folder, "phantoms").draw_phantom
    first, again = phantom(ABDOMEN), draw(ABDOMEN, SMALL)
    np.testing.assert_array_equal(first.volume.voxels, again.volume.voxels)
    np.testing.assert_array_equal(first.lungs, again.lungs)
    assert first.volume.grid == again.volume.grid
    assert first.volume.grid != phantom(WHOLE_CHEST).volume.grid


def test_the_lungs_of_a_phantom_are_dark_and_reach_no_edge_of_the_picture() -> None:
    scan = phantom(WHOLE_CHEST)
    voxels, lungs = scan.volume.voxels, scan.lungs
    litres = lungs.sum() * scan.volume.grid.voxel_mm3 / 1e6
    assert 1.0 < litres < 9.0
    assert np.median(voxels[lungs]) < -500
    assert not lungs[:, [0, -1]].any()
    assert not lungs[:, :, [0, -1]].any()
    assert not (lungs & scan.volume.padding).any()
    assert not phantom(ABDOMEN).lungs.any()


def test_no_phantom_is_in_two_splits() -> None:
    patients = load_part(MODEL.folder, "evaluate").PATIENTS
    seeds = [seed for split in Split for seed in patients[split][0]]
    assert len(seeds) == len(set(seeds))


def test_training_slices_are_what_the_node_would_prepare() -> None:
    slices = load_part(MODEL.folder, "train").draw_slices([ABDOMEN], slices=2)
    assert slices.pictures.shape == (2, 160, 224, 3)
    assert slices.truths.shape == (2, 160, 224, 1)
    assert set(np.unique(slices.truths)) <= {0.0, 1.0}


def test_the_lungs_of_a_phantom_are_outlined(analyse: Analyse) -> None:
    scan = phantom(WHOLE_CHEST)
    found = masks_of(analyse(scan.volume))
    assert found.keys() == {"right_lung", "left_lung", "lungs"}
    assert dice(found["lungs"], scan.lungs) > 0.93


def test_a_phantom_of_the_abdomen_has_no_lungs(analyse: Analyse) -> None:
    found = analyse(phantom(ABDOMEN).volume)
    assert found.regions == ()
    assert found.remarks


def test_a_real_chest_series_has_two_lungs_that_a_threshold_confirms(
    analyse: Analyse, shared: Path, tmp_path: Path
) -> None:
    archive = shared / "data" / "ct_chest_lungdx" / "ct_A0001_philips_5mm_B.tar.xz"
    volume = read_volume(read_all(unpack(archive, tmp_path)))
    found = masks_of(analyse(volume))
    classical = load_part(MODEL.folder, "classical").classical_lungs(volume)
    assert found.keys() == {"right_lung", "left_lung", "lungs"}
    assert dice(found["lungs"], classical) > 0.93
    assert found["right_lung"].sum() > found["left_lung"].sum()
