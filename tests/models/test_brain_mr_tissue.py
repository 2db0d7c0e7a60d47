"""CSF, grey and white matter of T1 heads, however the series is stored, and what is said of the volumes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from specimens import odd_head
from turned import turn_array, turned
from volumes import read_all, unpack

from node.catalog import Catalog
from node.errors import PixelsRefused, SeriesRefused, StudyRefused, TrainingDataError
from node.imaging.head import head_box
from node.imaging.series import read_volume
from node.imaging.upright import resample_upright, turn_upright
from node.imaging.volume import Grid, Unit, Volume
from node.imaging.volume_files import read_volume_file, write_mask_file, write_volume_file
from node.inference.loading import load_part
from node.training.head_maps import LABELS, HeadMap
from node.training.prediction import predict_with
from node.training.samples import Split
from node.training.subjects import Subject, choose_subjects, read_subjects
from node.vocabulary import Interpretation, Mask

FOLDER = Path(__file__).resolve().parents[2] / "models" / "brain_mr_tissue"
PART = load_part(FOLDER, "preprocess")

Analyse = Callable[[Volume], Interpretation]


@pytest.fixture(scope="module")
def analyse() -> Analyse:
    """Return the whole model: prepare, network, interpret."""
    model = Catalog([FOLDER.parent])["brain_mr_tissue"]
    network = load_part(FOLDER, "architecture").build()
    network.load_weights(model.weights)
    predict = predict_with(network, at_once=4)
    return lambda volume: PART.interpret(predict(PART.prepare(volume)), volume)


def as_classes(labels: NDArray[np.uint8], volume: Volume) -> NDArray[np.float32]:
    """Return what a perfect network would say of labels that lie on the 2 mm grid of the network."""
    box = head_box(resample_upright(volume, PART.STEP_MM))
    return np.asarray(PART.WINDOWS.cut(np.eye(4, dtype=np.float32)[labels][box]))


def masks_of(found: Interpretation) -> dict[str, Mask]:
    return {region.output: region.mask for region in found.regions}


def dice(mask: Mask, truth: Mask) -> float:
    return float(2 * (mask & truth).sum() / (mask.sum() + truth.sum()))


def millilitres(found: Interpretation, volume: Volume) -> dict[str, float]:
    return {name: float(mask.sum() * volume.grid.voxel_mm3 / 1000) for name, mask in masks_of(found).items()}


@pytest.mark.parametrize(
    ("axes", "flips"),
    [((0, 1, 2), (0,)), ((0, 1, 2), (1, 2)), ((1, 0, 2), (0,)), ((2, 0, 1), (0, 1)), ((2, 1, 0), ())],
    ids=["reversed slices", "prone", "coronal", "sagittal", "transposed"],
)
def test_the_network_sees_the_same_blocks_however_the_series_is_stored(
    axes: tuple[int, int, int], flips: tuple[int, ...]
) -> None:
    volume = odd_head((2.1, 1.9, 2.0))
    other = turned(volume, axes, flips)
    np.testing.assert_allclose(PART.prepare(other), PART.prepare(volume), atol=1e-4)


@pytest.mark.parametrize(("axes", "flips"), [((0, 1, 2), (0, 2)), ((2, 0, 1), (1,))])
def test_masks_lie_on_the_voxels_of_the_series(axes: tuple[int, int, int], flips: tuple[int, ...]) -> None:
    volume = odd_head((2.0, 2.0, 2.0))
    turn = turn_upright(volume.grid)
    labels = np.zeros(volume.grid.shape, np.uint8)
    labels[40:60, 30:70, 30:50], labels[45:55, 40:60, 35:45], labels[48:52, 45:55, 38:42] = 2, 3, 1
    other = turned(volume, axes, flips)
    found = masks_of(PART.interpret(as_classes(turn.apply(labels), other), other))
    assert found.keys() == {"csf", "gm", "wm"}
    for number, name in enumerate(("csf", "gm", "wm"), start=1):
        np.testing.assert_array_equal(found[name], turn_array(labels == number, axes, flips))


def test_a_block_found_at_2_mm_has_its_size_in_finer_and_in_thicker_slices() -> None:
    for spacing in ((4.0, 1.5, 1.5), (1.5, 1.5, 1.5)):
        volume = odd_head(spacing)
        image = resample_upright(volume, PART.STEP_MM)
        labels = np.zeros(image.grid.shape, np.uint8)
        labels[30:60, 30:70, 30:60] = 2
        found = PART.interpret(as_classes(labels, volume), volume)
        assert millilitres(found, volume)["gm"] == pytest.approx(30 * 40 * 30 * 8 / 1000, rel=0.08)


def test_no_voxel_has_two_tissues_and_parts_away_from_the_brain_are_left_out() -> None:
    volume = odd_head((2.0, 2.0, 2.0))
    labels = np.zeros(volume.grid.shape, np.uint8)
    labels[40:60, 30:70, 30:50], labels[45:55, 40:60, 35:45] = 2, 3
    island = labels.copy()
    island[20:24, 50:54, 40:44] = 3
    masks = masks_of(PART.interpret(as_classes(island, volume), volume))
    assert sum(mask.astype(int) for mask in masks.values()).max() == 1
    np.testing.assert_array_equal(masks["wm"], labels == 3)


def test_a_series_without_a_brain_has_no_region_and_says_so() -> None:
    volume = odd_head((2.0, 2.0, 2.0))
    found = PART.interpret(as_classes(np.zeros(volume.grid.shape, np.uint8), volume), volume)
    assert found.regions == ()
    assert found.remarks == ("No brain was found in this series.",)


def test_a_brain_that_reaches_the_last_slice_and_one_of_an_unusual_size_are_remarked() -> None:
    volume = odd_head((2.0, 2.0, 2.0))
    grid = replace(volume.grid, shape=(60, *volume.grid.shape[1:]))
    volume = replace(volume, voxels=volume.voxels[:60], padding=volume.padding[:60], grid=grid)
    labels = np.zeros(grid.shape, np.uint8)
    labels[40:, 30:70, 30:50] = 2
    cut = PART.interpret(as_classes(labels, volume), volume).remarks
    assert any("ends inside the brain" in remark for remark in cut)
    assert any("outside 700 to 2000 ml" in remark for remark in cut)


def test_thick_slices_are_remarked() -> None:
    for spacing, is_remarked in (((4.1, 1.5, 1.5), True), ((1.5, 1.5, 1.5), False)):
        volume = odd_head(spacing)
        labels = np.zeros(resample_upright(volume, PART.STEP_MM).grid.shape, np.uint8)
        labels[30:60, 30:70, 30:60] = 2
        remarks = PART.interpret(as_classes(labels, volume), volume).remarks
        assert any("4.1 mm apart" in remark for remark in remarks) is is_remarked


def test_padding_is_never_brain_and_does_not_change_how_bright_the_head_is() -> None:
    volume = odd_head((2.0, 2.0, 2.0))
    padding = volume.padding.copy()
    padding[:, :, :12] = True
    padded = replace(volume, padding=padding)
    labels = np.zeros(volume.grid.shape, np.uint8)
    labels[30:60, 30:70, 5:60] = 2
    masks = masks_of(PART.interpret(as_classes(labels, padded), padded))
    assert not any((mask & padding).any() for mask in masks.values())


def test_a_ct_a_narrow_slab_and_an_empty_series_are_refused() -> None:
    volume = odd_head((2.0, 2.0, 2.0))
    with pytest.raises(StudyRefused, match="send a T1 MR series"):
        PART.prepare(replace(volume, unit=Unit.HOUNSFIELD))
    slab = Grid((20, *volume.grid.shape[1:]), volume.grid.origin_mm, volume.grid.steps_mm)
    with pytest.raises(SeriesRefused, match="covers 40 mm"):
        PART.prepare(replace(volume, voxels=volume.voxels[:20], padding=volume.padding[:20], grid=slab))
    with pytest.raises(PixelsRefused, match="there is no head"):
        PART.prepare(replace(volume, voxels=np.full_like(volume.voxels, 7)))


def test_a_voxel_that_may_be_several_tissues_costs_nothing_whichever_it_is_called() -> None:
    truth = load_part(FOLDER, "truth")
    may = np.full((1, 2, 2, 2), truth.May.OUTER_FLUID, np.uint8)
    allowed = truth.as_channels(may)
    losses = [
        float(truth.tissue_loss(allowed, np.broadcast_to(np.eye(4, dtype=np.float32)[number], allowed.shape))[0])
        for number in range(3)
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert losses[0] == pytest.approx(0.0, abs=1e-5)
    assert losses[2] > 5


def test_a_label_map_says_what_is_certain_and_leaves_open_what_definitions_disagree_on() -> None:
    subjects, may = load_part(FOLDER, "subjects"), load_part(FOLDER, "truth").May
    named = {3: may.GREY, 41: may.WHITE, 16: may.WHITE, 4: may.CSF, 24: may.OUTER_FLUID, 25: may.BRAIN}
    named[515] = may.BACKGROUND
    labels = np.zeros((2, 2, 2 * len(named)), np.uint8)
    for number, label in enumerate(named):
        labels[..., 2 * number : 2 * number + 2] = LABELS.index(label)
    grid = Grid((1, 1, len(named)), (0.0, 0.0, 0.0), ((0.0, 0.0, 2.0), (0.0, 2.0, 0.0), (2.0, 0.0, 0.0)))
    assert subjects.tissues_of(HeadMap(labels, grid)).ravel().tolist() == [int(one) for one in named.values()]


def test_the_baselines_find_tissues_by_their_grey_and_by_their_place() -> None:
    baselines, subjects = load_part(FOLDER, "baselines"), load_part(FOLDER, "subjects")
    volume = odd_head((2.0, 2.0, 2.0))
    voxels = np.asarray(volume.voxels)
    inner = baselines.find_by_brightness(volume, (voxels > 500).astype(np.uint8))
    assert voxels[inner == 1].mean() < voxels[inner == 2].mean() < voxels[inner == 3].mean()
    labels = np.where(np.abs(voxels - 850) < 60, 3, 0).astype(np.uint8)
    usual = baselines.usual_head([subjects.label_head(volume, labels)])
    assert dice(baselines.find_by_place(volume, usual) == 3, labels == 3) > 0.85


def test_labels_that_do_not_lie_on_the_scan_are_refused(tmp_path: Path) -> None:
    volume = odd_head((2.0, 2.0, 2.0))
    write_volume_file(volume, tmp_path / "t1.nii")
    write_mask_file(np.ones((4, 4, 4), np.bool_), replace(volume.grid, shape=(4, 4, 4)), tmp_path / "labels.nii")
    subject = Subject("one", Split.TRAIN, tmp_path / "t1.nii", tmp_path / "labels.nii")
    with pytest.raises(TrainingDataError, match=r"found \(4, 4, 4\) voxels"):
        load_part(FOLDER, "subjects").read_labelled(subject)
    with pytest.raises(TrainingDataError, match="has no labels"):
        load_part(FOLDER, "subjects").read_labelled(replace(subject, labels=None))


def test_blocks_depend_on_seed_epoch_and_number_only() -> None:
    blocks, subjects = load_part(FOLDER, "blocks"), load_part(FOLDER, "subjects")
    volume = odd_head((2.0, 2.0, 2.0))
    labels = (np.asarray(volume.voxels) > 500).astype(np.uint8) * 2
    head = subjects.label_head(volume, labels)
    course = blocks.Course(size=32, batch_size=2, batches=3, seed=9)
    made_up = blocks.MadeUp((), load_part(FOLDER, "train").ScanLimits(), share=0.0, calm_share=0.0)
    first, again = (blocks.HeadBlocks([head], made_up, course) for _ in range(2))
    again[0]
    for one, other in zip(first[1], again[1], strict=True):
        np.testing.assert_array_equal(one, other)
    again.epoch = 1
    assert not np.array_equal(first[1][0], again[1][0])
    assert first[1][0].shape == (2, 32, 32, 32, 1)
    assert first[1][1].shape == (2, 32, 32, 32, 4)


def test_an_unvaried_block_holds_the_voxels_of_the_head_as_they_are() -> None:
    blocks, subjects = load_part(FOLDER, "blocks"), load_part(FOLDER, "subjects")
    volume = odd_head((2.0, 2.0, 2.0))
    head = subjects.label_head(volume, (np.asarray(volume.voxels) > 500).astype(np.uint8) * 2)
    head = replace(head, voxels=head.voxels[40:70, 40:70, 30:60], truth=head.truth[40:70, 40:70, 30:60])
    voxels, _ = blocks.draw_block(head, 16, blocks.UNVARIED, np.random.default_rng(1))
    corners = np.lib.stride_tricks.sliding_window_view(head.voxels, (16, 16, 16))
    assert (np.abs(corners - voxels).max(axis=(3, 4, 5)) < 1e-5).any()


def test_a_scan_of_the_validation_split_agrees_with_its_labels(analyse: Analyse, shared: Path) -> None:
    subjects = choose_subjects(read_subjects(shared / "data" / "brain_t1_ixi"), Split.VALIDATION)
    volume, labels = load_part(FOLDER, "subjects").read_labelled(subjects[0])
    masks = masks_of(analyse(volume))
    for number, (name, least) in enumerate((("csf", 0.75), ("gm", 0.88), ("wm", 0.88)), start=1):
        assert dice(masks[name], labels == number) > least


def test_a_whole_head_of_a_small_child_has_a_brain_of_its_size(
    analyse: Analyse, shared: Path, tmp_path: Path
) -> None:
    archive = shared / "data" / "dicom_series" / "mr_t1_siemens_skyra_3y_192.tar.xz"
    volume = read_volume(read_all(unpack(archive, tmp_path)))
    found = millilitres(analyse(volume), volume)
    assert 850 < found["gm"] + found["wm"] < 1400
    assert 0.8 < found["gm"] / found["wm"] < 3.0


def test_an_enhanced_whole_head_has_a_brain_of_the_usual_size(analyse: Analyse, shared: Path, tmp_path: Path) -> None:
    archive = shared / "data" / "mr_dicom" / "mr_enhanced_t1_siemens_xa30_96frames.tar.xz"
    volume = read_volume(read_all(unpack(archive, tmp_path)))
    found = millilitres(analyse(volume), volume)
    assert 1000 < found["gm"] + found["wm"] < 1700
    assert 1.0 < found["gm"] / found["wm"] < 2.2


def test_a_whole_head_in_slices_of_3_mm_has_a_brain_of_the_usual_size(analyse: Analyse, shared: Path) -> None:
    file = shared / "data" / "brain_mr_ms_thick" / "patient20_study2_T1W.nii.gz"
    volume = read_volume_file(file, Unit.STORED)
    found = analyse(volume)
    measured = millilitres(found, volume)
    assert 850 < measured["gm"] + measured["wm"] < 1700
    assert any("3.0 mm apart" in remark for remark in found.remarks)
