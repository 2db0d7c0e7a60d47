"""The gate of the brain models: upright T1 brains pass, whatever else comes is refused with a reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from turned import turned
from volumes import read_all, unpack

from node.catalog import Catalog
from node.errors import PixelsRefused, SeriesRefused, StudyRefused
from node.imaging.series import read_volume
from node.imaging.volume import Grid, Unit, Volume
from node.imaging.volume_files import read_volume_file
from node.inference.loading import load_part
from node.vocabulary import Interpretation, Pixels

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras 3 with NumPy 2

MODEL = Catalog([Path(__file__).resolve().parents[2] / "models"])["brain_mr_autoencoder"]
PART = load_part(MODEL.folder, "preprocess")
BOX = load_part(MODEL.folder, "head_box")
PLACING = load_part(MODEL.folder, "placing")
MISFITS = load_part(MODEL.folder, "misfits")
VARIATIONS = load_part(MODEL.folder, "variations")
ARCHITECTURE = load_part(MODEL.folder, "architecture")
KIND = load_part(MODEL.folder, "kinds").Kind

UPRIGHT = ((0.0, 0.0, 4.0), (0.0, 4.0, 0.0), (4.0, 0.0, 0.0))
SHAPE = (48, 52, 44)
TISSUES = VARIATIONS.Tissues(60.0, 120.0, 180.0)
ALL_MISFITS = {**MISFITS.LEARNED, **MISFITS.HELD_BACK}

Judge = Callable[[Volume], Interpretation]


@pytest.fixture(scope="module")
def judge() -> Judge:
    """Return the whole model: prepare, network, interpret."""
    predict = load_part(MODEL.folder, "evaluate").load_network(MODEL.weights)
    return lambda volume: PART.interpret(predict(PART.prepare(volume)), volume)


def head(shape: tuple[int, int, int] = SHAPE) -> Volume:
    """Return a head on a neck: white matter around dark fluid, a bright front, and air around it."""
    z, y, x = np.meshgrid(*(4.0 * (np.arange(side) - (side - 1) / 2) for side in shape), indexing="ij")
    skull = ((z - 15) / 70) ** 2 + (y / 85) ** 2 + (x / 68) ** 2 < 1
    neck = (z < 0) & ((y / 45) ** 2 + (x / 45) ** 2 < 1)
    voxels = np.where(skull | neck, 180.0, 0.0)
    voxels[skull & (y < -50)] = 250.0
    voxels[((z - 10) / 20) ** 2 + (y / 40) ** 2 + ((x - 8) / 15) ** 2 < 1] = 60.0
    grid = Grid(shape, (-90.0, -100.0, -95.0), UPRIGHT)
    return Volume(voxels.astype(np.float32), grid, Unit.STORED, np.zeros(shape, np.bool_), (), "2.25.1")


def subject() -> Any:
    """Return the head as a subject: dark fluid in white matter, no grey matter."""
    volume = head()
    fluid, white = ((volume.voxels == value).astype(np.float32) for value in (60.0, 180.0))
    return VARIATIONS.Subject(volume, TISSUES, (fluid, np.zeros_like(fluid), white))


def answer(volume: Volume, kind: int, error: float = 0.0) -> Pixels:
    """Return what a network would answer that is sure of a kind, and whose copy is too high by `error`."""
    copy = PART.prepare(volume)[0, ..., 0] + error
    scores = np.where(np.arange(len(KIND)) == kind, 9.0, 0.0)
    return np.concatenate([copy.ravel(), np.arange(64), scores])[np.newaxis].astype(np.float32)


@pytest.mark.parametrize(
    ("axes", "flips"), [((0, 1, 2), (0,)), ((2, 0, 1), ()), ((1, 2, 0), (1, 2)), ((2, 1, 0), (0, 1, 2))]
)
def test_the_box_is_the_same_however_the_head_is_stored(axes: tuple[int, int, int], flips: tuple[int, ...]) -> None:
    box, other = (BOX.find_head(volume) for volume in (head(), turned(head(), axes, flips)))
    assert np.allclose(box.grid.origin_mm, other.grid.origin_mm, atol=0.1)
    np.testing.assert_allclose(box.values, other.values, atol=0.02)


def test_the_box_begins_just_above_the_head_and_has_the_nose_in_front() -> None:
    box = BOX.find_head(head())
    assert box.values.shape == (40, 56, 48)
    filled = np.flatnonzero((box.values > 0.2).any(axis=(1, 2)))
    assert 36 <= filled.max() <= 38
    front, back = box.values[25, :28].sum(), box.values[25, 28:].sum()
    assert front > back


def test_the_shading_of_a_coil_cancels_and_is_kept_apart() -> None:
    volume = head()
    fall = np.exp(np.linspace(-0.7, 0.7, SHAPE[0], dtype=np.float32))[:, np.newaxis, np.newaxis]
    plain, shaded = BOX.find_head(volume), BOX.find_head(replace(volume, voxels=volume.voxels * fall))
    inside = (plain.values > 0.2) & (shaded.values > 0.2)
    assert np.abs(plain.values - shaded.values)[inside].mean() < 0.06
    assert shaded.shading[34][inside[34]].mean() - shaded.shading[14][inside[14]].mean() > 0.3


def test_preparing_turns_thick_slices_and_fine_voxels_into_one_grid() -> None:
    thin = head()
    voxels = np.repeat(np.repeat(np.repeat(thin.voxels[::2], 2, 1), 2, 2), 1, 0)
    steps = ((0.0, 0.0, 8.0), (0.0, 2.0, 0.0), (2.0, 0.0, 0.0))
    grid = Grid(voxels.shape, (-91.0, -101.0, -95.0), steps)
    fine = Volume(voxels, grid, Unit.STORED, np.zeros(voxels.shape, np.bool_), (), "")
    assert PART.prepare(fine).shape == PART.prepare(thin).shape == (1, 40, 56, 48, 2)


def test_an_empty_volume_is_refused() -> None:
    volume = head()
    with pytest.raises(PixelsRefused, match="nothing stands out"):
        PART.prepare(replace(volume, voxels=np.zeros_like(volume.voxels)))


def test_a_whole_body_is_refused_before_anything_is_computed() -> None:
    long = PLACING.stretch(head(), (5.0, 1.0, 1.0))
    with pytest.raises(SeriesRefused, match="expected a head of at most 700 mm"):
        PART.prepare(long)


def test_a_slab_of_a_few_millimetres_is_refused() -> None:
    with pytest.raises(SeriesRefused, match="at least 8 mm thick"):
        PART.prepare(PLACING.cut(head(), 0, 20, 21))


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (KIND.ORIENTATION, "lies otherwise than its header says"),
        (KIND.CONTRAST, "another sequence than T1"),
        (KIND.SPACING, "impossible size"),
        (KIND.ARTEFACT, "noise, motion, or slices missing"),
        (KIND.ANATOMY, "something else than a whole brain"),
    ],
)
def test_a_misfit_is_refused_with_what_is_wrong_with_it(kind: int, reason: str) -> None:
    volume = head()
    with pytest.raises(StudyRefused, match=reason):
        PART.interpret(answer(volume, kind), volume)


def test_the_map_holds_the_error_in_the_box_and_nothing_elsewhere() -> None:
    volume = turned(head((80, 52, 44)), (2, 0, 1), (0,))
    interpretation = PART.interpret(answer(volume, KIND.T1_BRAIN, error=0.25), volume)
    values = interpretation.maps[0].values
    assert values.shape == volume.voxels.shape
    assert values.dtype == np.float32
    assert values.max() == pytest.approx(0.25, abs=1e-4)
    box = BOX.find_head(volume).grid
    lowest = box.origin_mm[2] - 4.0
    heights = np.array([volume.grid.position_mm((0, row, 0))[2] for row in range(volume.voxels.shape[1])])
    assert (heights < lowest).any()
    assert not values[:, heights < lowest].any()
    assert (values[:, heights > lowest + 8.0] > 0.24).mean() > 0.3
    assert interpretation.embedding == tuple(float(number) for number in range(64))


def test_equal_scores_are_as_likely_as_not() -> None:
    others = np.log(np.full(len(KIND) - 1, 1.0 / (len(KIND) - 1)))
    assert PART.score_of(np.array([0.0, *others], np.float32)) == pytest.approx(0.0, abs=1e-6)


def test_the_network_has_a_score_for_every_kind() -> None:
    network = ARCHITECTURE.build()
    assert len(KIND) == ARCHITECTURE.KINDS
    assert network.output_shape[-1] == 40 * 56 * 48 + PART.EMBEDDING + len(KIND)


def test_several_sequences_of_one_head_make_one_code() -> None:
    network = ARCHITECTURE.build(channels=2)
    assert network.input_shape[1:] == (40, 56, 48, 3)
    assert network.output_shape[-1] == 2 * 40 * 56 * 48 + PART.EMBEDDING + len(KIND)


def test_the_score_of_the_tutorials_network_is_the_error_of_its_copy() -> None:
    network = ARCHITECTURE.VARIANTS["tutorial"]()
    batch = PART.prepare(head())
    row = np.asarray(network(batch))[0]
    error = ((batch[0, ..., 0].ravel() - row[: 40 * 56 * 48]) ** 2).mean()
    assert row[-len(KIND)] == pytest.approx(-error, rel=1e-4)
    assert not row[-len(KIND) + 1 :].any()


def test_the_copy_of_a_misfit_is_not_learned_and_that_of_a_brain_is() -> None:
    train = load_part(MODEL.folder, "train")
    truth = np.array([[1.0, 3.0, 1, 0, 0, 0, 0, 0], [1.0, 3.0, 0, 0, 1, 0, 0, 0]], np.float32)
    found = np.array([[1.0, 1.0, *np.zeros(70)], [1.0, 1.0, *np.zeros(70)]], np.float32)
    np.testing.assert_allclose(np.asarray(train.copy_loss(truth, found)), [2.0, 0.0])
    both = np.asarray(train.copy_and_judge_loss(truth, found))
    np.testing.assert_allclose(both, [train.COPY_WEIGHT * 2.0 + np.log(6.0), np.log(6.0)], rtol=1e-5)


@given(st.integers(0, 2**32 - 1))
def test_wrong_axes_always_show(seed: int) -> None:
    matrix = PLACING.draw_wrong_axes(np.random.default_rng(seed))
    assert abs(round(float(np.linalg.det(matrix)))) == 1
    assert not np.array_equal(matrix, np.eye(3))
    assert not np.array_equal(matrix, np.diag([-1.0, 1.0, 1.0]))


@pytest.mark.parametrize("what", ALL_MISFITS)
def test_a_made_misfit_is_a_volume_that_differs(what: str) -> None:
    given = subject()
    volume = given.volume
    before = volume.voxels.copy()
    kind, make = ALL_MISFITS[what]
    made = make(given, np.random.default_rng(5))
    assert kind is not KIND.T1_BRAIN
    assert made.voxels.shape == made.grid.shape == made.padding.shape
    assert np.isfinite(PART.prepare(made)).all()
    assert not np.array_equal(PART.prepare(made), PART.prepare(volume))
    np.testing.assert_array_equal(volume.voxels, before)


def test_the_same_seed_makes_the_same_variation() -> None:
    first, again = (VARIATIONS.vary(subject(), VARIATIONS.Limits(), np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first.voxels, again.voxels)
    assert first.grid == again.grid


def test_recolouring_changes_each_tissue_and_what_lies_outside() -> None:
    given = subject()
    recoloured = VARIATIONS.recolour(given, VARIATIONS.Tissues(200.0, 100.0, 90.0), outside=0.5).voxels
    before = given.volume.voxels
    np.testing.assert_allclose(recoloured[before == 60.0], 200.0)
    np.testing.assert_allclose(recoloured[before == 180.0], 90.0)
    np.testing.assert_allclose(recoloured[before == 250.0], 125.0)
    assert not recoloured[before == 0.0].any()


def test_no_label_map_is_in_two_splits() -> None:
    numbers = [number for part in load_part(MODEL.folder, "subjects").MAP_NUMBERS.values() for number in part]
    assert len(numbers) == len(set(numbers))


@pytest.mark.parametrize(
    "archive",
    ["dicom_series/mr_t1_siemens_skyra_3y_192.tar.xz", "mr_dicom/mr_enhanced_t1_siemens_xa30_96frames.tar.xz"],
)
def test_whole_heads_of_other_scanners_pass(judge: Judge, shared: Path, tmp_path: Path, archive: str) -> None:
    volume = read_volume(read_all(unpack(shared / "data" / archive, tmp_path)))
    interpretation = judge(volume)
    assert interpretation.maps[0].values.shape == volume.voxels.shape
    assert len(interpretation.embedding) == 64


def test_thick_slices_of_a_t1_pass_and_those_of_a_t2_do_not(judge: Judge, shared: Path) -> None:
    folder = shared / "data" / "brain_mr_ms_thick"
    assert judge(read_volume_file(folder / "patient20_study2_T1W.nii.gz", Unit.STORED)).maps
    with pytest.raises(StudyRefused):
        judge(read_volume_file(folder / "patient01_study2_T2W.nii.gz", Unit.STORED))


def test_a_chest_is_refused(judge: Judge, shared: Path, tmp_path: Path) -> None:
    archive = shared / "data" / "ct_chest_lungdx" / "ct_A0001_philips_5mm_B.tar.xz"
    with pytest.raises(StudyRefused):
        judge(read_volume(read_all(unpack(archive, tmp_path))))


def test_a_head_whose_header_turns_it_upside_down_is_refused(judge: Judge, shared: Path) -> None:
    file = shared / "data" / "brain_t1_ixi" / "t1" / "IXI013-HH-1212_t1_2mm.nii.gz"  # of the validation split
    volume = read_volume_file(file, Unit.STORED)
    assert judge(volume).embedding
    with pytest.raises(StudyRefused, match="expected an upright T1 brain"):
        judge(PLACING.move(volume, np.diag([1.0, 1.0, -1.0])))
