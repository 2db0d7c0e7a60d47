"""Nodules of the lung in CT series: what is refused, what is outlined where, and what the scores mean."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from turned import turned

from node.catalog import Catalog
from node.errors import StudyRefused, TrainingDataError, UnevenSlices
from node.imaging.volume import Grid, Unit, Volume
from node.inference.loading import load_part
from node.training.samples import Split
from node.vocabulary import Interpretation, Pixels

FOLDER = Path(__file__).resolve().parents[2] / "models" / "chest_ct_nodule"
PART = load_part(FOLDER, "preprocess")
NODULES = load_part(FOLDER, "nodules")
SCANNER = load_part(FOLDER, "scanner")
FROC = load_part(FOLDER, "froc")
CANDIDATES = load_part(FOLDER, "candidates")

Analyse = Callable[[Volume], Interpretation]
MIDDLE = (-50.0, 10.0, 80.0)  # (x, y, z) in the right lung of `chest`


@pytest.fixture(scope="module")
def analyse() -> Analyse:
    """Return the whole model: prepare, network, interpret."""
    model = Catalog([FOLDER.parent])["chest_ct_nodule"]
    predict = load_part(FOLDER, "evaluate").load_network(model.weights)
    return lambda volume: PART.interpret(predict(PART.prepare(volume)), volume)


@pytest.fixture(scope="module")
def a0001(shared: Path) -> Any:
    """The series of Lung-PET-CT-Dx with its tumour."""
    (series,) = load_part(FOLDER, "real_series").read_real_series(shared / "data" / "ct_chest_lungdx")
    return series


@pytest.fixture(scope="module")
def lidc0314(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The series of LIDC-IDRI with its nodule, which lie in two folders."""
    folder = tmp_path_factory.mktemp("lidc")
    for file in ("ct_lidc0314_nodule/nodule.csv", "dicom_series/ct_chest_philips_lidc_138of275.tar.xz"):
        (folder / Path(file).name).symlink_to(shared / "data" / file)
    (series,) = load_part(FOLDER, "real_series").read_real_series(folder)
    return series


def chest(slice_mm: float = 3.0, unit: Unit = Unit.HOUNSFIELD, lung_hu: int = -850) -> Volume:
    """Return two lungs in a block of tissue in air, the middle between them at x = 0."""
    counts = (int(160 / slice_mm), 51, 75)
    grid = Grid(counts, (-111.0, -75.0, 0.0), ((0.0, 0.0, slice_mm), (0.0, 3.0, 0.0), (3.0, 0.0, 0.0)))
    z, y, x = (axis * step for axis, step in zip(np.indices(grid.shape), grid.spacing_mm, strict=True))
    x, y, z = x - 111.0, y - 75.0, z - 75.0
    voxels = np.full(grid.shape, -1000, np.int16)
    voxels[(x / 104) ** 2 + (y / 68) ** 2 < 1] = 40
    for side in (-1, 1):
        voxels[((x - side * 50) / 36) ** 2 + (y / 46) ** 2 + (z / 60) ** 2 < 1] = lung_hu
    return Volume(voxels, grid, unit, np.zeros(grid.shape, np.bool_), (), "2.25.1")


def marked(volume: Volume, *balls: tuple[tuple[float, float, float], float, float]) -> Pixels:
    """Return what a network would answer that marks balls of (middle in mm, radius in mm, probability)."""
    region, grid = PART.search_region(volume)
    places = np.moveaxis(np.indices(grid.shape), 0, -1) @ np.array(grid.steps_mm) + np.array(grid.origin_mm)
    probability = np.zeros(grid.shape, np.float32)
    for middle, radius, value in balls:
        probability[np.linalg.norm(places - np.array(middle), axis=-1) < radius] = value
    return PART.WINDOWS.cut(probability[..., np.newaxis])[PART._holding(region)]


def centre(region: Any, volume: Volume) -> np.ndarray:
    return volume.grid.position_mm(tuple(np.argwhere(region.mask).mean(axis=0)))


@cache
def drawn(patient: int) -> Any:
    return load_part(FOLDER, "scans").draw_scan(patient)


def plan(diameter_mm: float, kind: str = "solid", spicules: int = 0) -> Any:
    return NODULES.Plan(diameter_mm, NODULES.Kind(kind), 0.1, spicules)


def test_a_series_that_is_not_in_hounsfield_units_is_refused() -> None:
    with pytest.raises(StudyRefused, match="nodules are found by Hounsfield units"):
        PART.prepare(chest(unit=Unit.STORED))


def test_slices_too_far_apart_for_nodules_are_refused() -> None:
    with pytest.raises(UnevenSlices, match=r"voxels lie 6\.00 mm apart.*thinnest reconstruction"):
        PART.prepare(chest(slice_mm=6.0))


@pytest.mark.parametrize("hu", [40, -1000], ids=["no air", "air as dark as bowel gas"])
def test_a_series_without_lungs_is_refused(hu: int) -> None:
    with pytest.raises(StudyRefused, match="what looks like lung measures 0 cm³"):
        PART.prepare(chest(lung_hu=hu))


def test_cubes_hold_both_lungs_whole() -> None:
    volume = chest()
    region, grid = PART.search_region(volume)
    places = np.argwhere(volume.voxels == -850)
    corners = [grid.index_of(volume.grid.position_mm(tuple(place))) for place in places[:: len(places) // 400]]
    assert all(region[tuple(np.rint(corner).astype(int))] for corner in corners)
    assert PART.prepare(volume).shape[1:] == (48, 48, 48, 1)


def test_the_map_put_together_is_the_map_that_was_cut() -> None:
    volume = chest()
    region, grid = PART.search_region(volume)
    cubes = PART.prepare(volume)
    joined = PART.join(cubes, region)
    hu = load_part(FOLDER, "working_grid").on_grid(volume, grid)
    np.testing.assert_allclose(joined[region], load_part(FOLDER, "window").scale(hu)[region], atol=1e-4)


@pytest.mark.parametrize(
    ("axes", "flips"),
    [((0, 1, 2), (0,)), ((0, 1, 2), (1, 2)), ((1, 0, 2), (0,)), ((2, 0, 1), (0, 1))],
    ids=["reversed slices", "prone", "coronal", "sagittal"],
)
def test_a_candidate_lies_at_the_same_place_whichever_way_the_series_is_stored(
    axes: tuple[int, int, int], flips: tuple[int, ...]
) -> None:
    volume = turned(chest(), axes, flips)
    found = PART.interpret(marked(volume, (MIDDLE, 9.0, 0.9)), volume)
    (region,) = found.regions
    assert np.abs(centre(region, volume) - MIDDLE).max() < 1.6
    assert region.mask.sum() * volume.grid.voxel_mm3 == pytest.approx(4 / 3 * np.pi * 9**3, rel=0.25)


def test_candidates_come_with_their_scores_the_most_likely_first() -> None:
    volume = chest()
    other = (50.0, 10.0, 80.0)
    found = PART.interpret(marked(volume, (MIDDLE, 6.0, 0.93), (other, 8.0, 0.99)), volume)
    assert [region.output for region in found.regions] == ["nodule", "nodule"]
    assert [region.score for region in found.regions] == pytest.approx([0.99, 0.93], abs=1e-3)
    assert np.abs(centre(found.regions[0], volume) - other).max() < 1.6


def test_a_candidate_smaller_than_a_voxel_of_the_series_is_outlined_all_the_same() -> None:
    volume = chest(slice_mm=5.0)
    found = PART.interpret(marked(volume, (MIDDLE, 1.9, 0.99)), volume)
    assert [int(region.mask.sum()) for region in found.regions] == [1]


def test_where_nothing_is_likely_the_report_says_that_this_excludes_nothing() -> None:
    volume = chest()
    found = PART.interpret(marked(volume), volume)
    assert found.regions == ()
    assert found.remarks[0].endswith("this does not exclude nodules.")


def test_a_whole_lung_that_is_marked_is_no_nodule() -> None:
    volume = chest()
    assert PART.interpret(np.ones_like(PART.prepare(volume)), volume).regions == ()


def test_what_lies_outside_the_lungs_is_no_candidate() -> None:
    volume = chest()
    between = (0.0, 50.0, 80.0)
    assert marked(volume, (between, 4.0, 0.99)).any()
    assert PART.interpret(marked(volume, (between, 4.0, 0.99)), volume).regions == ()


def test_no_more_candidates_are_given_than_a_person_would_look_at() -> None:
    volume = chest()
    balls = [((x, y, z), 3.0, 0.99) for x in (-66, -50, -34) for y in (-20, 0, 20) for z in (60, 80, 100)]
    found = PART.interpret(marked(volume, *balls), volume)
    assert len(found.regions) == 20
    assert "Of 27 nodule candidates only the 20" in found.remarks[1]


def test_thick_slices_are_remarked() -> None:
    volume = chest(slice_mm=4.0)
    assert "4.0 mm apart" in PART.interpret(marked(volume), volume).remarks[-1]


@pytest.mark.parametrize("kind", ["solid", "part-solid", "ground glass", "calcified", "hollow"])
@pytest.mark.parametrize("diameter_mm", [5.0, 12.0, 28.0])
def test_a_drawn_nodule_has_about_the_size_that_was_planned(kind: str, diameter_mm: float) -> None:
    rng = np.random.default_rng(5)
    nodule = NODULES.draw_nodule(plan(diameter_mm, kind), 0.5, rng)
    measured = np.cbrt(6 * nodule.body.sum() * 0.5**3 / np.pi)
    assert measured == pytest.approx(diameter_mm, rel=0.2)
    assert nodule.share.max() <= 1.0
    assert not nodule.body[[0, -1]].any()


def test_ground_glass_lets_air_through_and_a_hollow_nodule_holds_some() -> None:
    rng = np.random.default_rng(6)
    glass = NODULES.draw_nodule(plan(20.0, "ground glass"), 1.0, rng)
    hollow = NODULES.draw_nodule(plan(20.0, "hollow"), 1.0, rng)
    assert glass.share[glass.body].max() <= 0.6
    middle = tuple(count // 2 for count in hollow.share.shape)
    assert hollow.share[middle] < 0.2 < hollow.share.max()


def test_spicules_reach_beyond_the_body_of_a_nodule() -> None:
    def reach_mm(spicules: int) -> float:
        share = NODULES.draw_nodule(plan(16.0, spicules=spicules), 1.0, np.random.default_rng(7)).share
        return float(np.linalg.norm(np.argwhere(share > 0.2) - np.array(share.shape) // 2, axis=1).max())

    assert reach_mm(spicules=0) < 12.0 < reach_mm(spicules=20)


def test_a_nodule_at_the_wall_is_cut_off_where_the_lung_ends() -> None:
    insertion = load_part(FOLDER, "insertion")
    lungs = np.zeros((40, 40, 40), np.bool_)
    lungs[:, :, 20:] = True
    nodule = NODULES.draw_nodule(plan(15.0), 1.0, np.random.default_rng(8))
    placed = insertion.place(nodule, lungs, (20, 20, 22))
    hu = np.full(lungs.shape, -850.0, np.float32)
    insertion.displace(hu, placed, placed.share)
    assert (hu[~lungs] == -850.0).all()
    assert hu[lungs].max() > -200.0
    assert insertion.place(nodule, lungs, (20, 20, 5)) is None


def test_slices_interpolated_back_keep_what_they_average() -> None:
    ramp = np.broadcast_to(np.arange(56, dtype=np.float32)[:, np.newaxis, np.newaxis], (56, 8, 8))
    seen = SCANNER.thicken(np.ascontiguousarray(ramp), 3.0, np.random.default_rng(9))
    np.testing.assert_allclose(seen[6:-6], ramp[6:-6], atol=1e-3)


def test_a_thick_slice_dilutes_what_is_smaller() -> None:
    share = np.zeros((56, 8, 8), np.float32)
    share[27:29] = 1.0
    thin, thick = (SCANNER.thicken(share, width, np.random.default_rng(10)) for width in (1.0, 4.0))
    assert thin.max() > 0.7
    assert thick.max() <= 0.5


def test_a_scan_shows_its_nodules_where_it_says_they_are() -> None:
    scan = drawn(2500)
    solid = [target for target in scan.targets if target.kind == "solid" and target.diameter_mm > 6.0]
    assert solid
    for target in solid:
        at = tuple(np.rint(scan.volume.grid.index_of(target.middle_mm)).astype(int))
        assert scan.volume.voxels[at] > -450


def test_no_made_up_patient_is_in_two_splits() -> None:
    train, scans = load_part(FOLDER, "train"), load_part(FOLDER, "evaluate").SCANS
    seeds = [*train.TRAINING, *train.VALIDATION, *(seed for split in Split for seed in scans[split])]
    assert len(seeds) == len(set(seeds))


def test_nothing_is_learned_at_a_real_lesion() -> None:
    backgrounds, patches = load_part(FOLDER, "backgrounds"), load_part(FOLDER, "patches")
    volume = chest()
    lesions = np.zeros(volume.grid.shape, np.bool_)
    lesions[20:40, 20:50, 20:50] = True
    background = backgrounds.real_background(volume, lesions, seed=1)
    assert not (background.lungs & background.unknown).any()
    truths = [patches.draw_window(background, np.random.default_rng(seed))[1] for seed in range(12)]
    assert all(set(np.unique(truth)) <= {-1.0, 0.0, 1.0} for truth in truths)
    assert any((truth == -1.0).any() for truth in truths)
    assert any((truth == 1.0).any() for truth in truths)


def spot(x: float, score: float) -> Any:
    return CANDIDATES.Spot(np.array([x, 0.0, 0.0]), 8.0, score)


def test_sensitivity_falls_as_fewer_false_candidates_are_allowed() -> None:
    target = load_part(FOLDER, "scans").Target
    targets = [target(np.array([x, 0.0, 0.0]), 10.0, NODULES.Kind.SOLID) for x in (0.0, 100.0)]
    first = FROC.match(targets, [spot(1.0, 0.9), spot(50.0, 0.8), spot(99.0, 0.7)])
    second = FROC.match(targets, [spot(4.9, 0.6), spot(93.0, 0.95)])
    assert first.hits.tolist() == [0.9, 0.7]
    assert second.hits.tolist() == [0.6, 0.0]
    once = np.ones((1, 2))
    rates = {rate: float(FROC.sensitivity_at([first, second], rate)(once)[0]) for rate in (0.25, 0.5, 1.0)}
    assert rates == {0.25: 0.0, 0.5: 0.25, 1.0: 0.75}
    assert FROC.score_at([first, second], 0.5) == 0.8


def test_a_round_spot_outshines_a_vessel_in_the_classical_method() -> None:
    classical = load_part(FOLDER, "classical")
    z, y, x = np.indices((41, 41, 41)) - 20
    middle = np.array([[20, 20, 20]])
    ball = np.exp(-(z**2 + y**2 + x**2) / 50.0).astype(np.float32)
    tube = np.exp(-(y**2 + x**2) / 50.0).astype(np.float32)
    assert classical.dot(classical.curvatures(ball, middle))[0] > 0
    assert classical.dot(classical.curvatures(tube, middle))[0] == pytest.approx(0.0, abs=1e-6)


def test_the_marked_lesions_of_real_series_are_dense_tissue_in_the_lung(a0001: Any, lidc0314: Any) -> None:
    assert (a0001.patient, lidc0314.patient) == ("Lung_Dx-A0001", "LIDC-IDRI-0314")
    for series in (a0001, lidc0314):
        middle = tuple((a + b) // 2 for a, b in zip(series.lesion.first, series.lesion.last, strict=True))
        assert series.volume.voxels[middle] > -200
        assert series.lesions[middle]


def test_a_table_without_its_series_is_refused(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").symlink_to(shared / "data" / "ct_chest_lungdx" / "boxes.csv")
    with pytest.raises(TrainingDataError, match="holds the series ct_A0001_philips_5mm_B; restore it"):
        load_part(FOLDER, "real_series").read_real_series(tmp_path)


def test_a_nodule_drawn_into_a_scan_is_found(analyse: Analyse) -> None:
    scan = drawn(2500)
    target = max((one for one in scan.targets if one.diameter_mm < 30.0), key=lambda one: one.diameter_mm)
    found = analyse(scan.volume)
    at = tuple(np.rint(scan.volume.grid.index_of(target.middle_mm)).astype(int))
    assert any(region.mask[at] for region in found.regions)
    assert all(0.0 <= region.score <= 1.0 for region in found.regions)


def test_a_real_chest_goes_through_the_whole_model(analyse: Analyse, a0001: Any) -> None:
    found = analyse(a0001.volume)
    assert len(found.regions) <= 20
    assert all(region.mask.shape == a0001.volume.voxels.shape for region in found.regions)
    assert any("5.0 mm apart" in remark for remark in found.remarks)
