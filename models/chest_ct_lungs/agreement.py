"""Compares network and classical method on real CT series, where nobody drew the lungs: agreement, not accuracy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from node.errors import StudyRefused
from node.imaging.regrid import Sampling, resample_values
from node.imaging.series import read_volume
from node.imaging.volume import Volume
from node.training.scores import score
from node.vocabulary import Mask, Pixels

from .classical import classical_lungs
from .preprocess import interpret, network_grid, prepare

REPORT = "agreement.md"
NO_TRUTH = (
    "the classical method is a threshold with morphology (`classical.py`). No lung was drawn by a person, so this is "
    "agreement and not accuracy."
)
SERIES_HEAD = ("Series", "Slices", "Network cm³", "right", "left", "Classical cm³", "Difference", "Dice", "Remarks")
SLICE_HEAD = ("Slice", "Network cm²", "Classical cm²", "Dice", "As a series of one slice")

Predict = Callable[[Pixels], Pixels]


@dataclass(frozen=True)
class Series:
    """The CT instances of one series below a folder, and what a report calls it."""

    name: str
    instances: tuple[Dataset, ...]


def write_agreement(data: Path, predict: Predict, folder: Path) -> Path:
    """Write what both methods find in every CT series below `data` to `agreement.md` in `folder`."""
    series = read_series(data)
    volumes = [_row_of_series(one, predict) for one in series if len(one.instances) > 1]
    slices = [_row_of_slice(one, predict) for one in series if len(one.instances) == 1]
    blocks = [
        "# chest_ct_lungs: agreement with a classical method",
        f"Every CT series below {data.name}; {NO_TRUTH}",
        _table(SERIES_HEAD, volumes),
        "Series of one slice, which the node refuses as a volume, taken as if they were as thick as the slice:",
        _table(SLICE_HEAD, slices),
    ]
    report = folder / REPORT
    report.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
    return report


def read_series(data: Path) -> list[Series]:
    """Return the CT series of all files `*.dcm` below a folder, in the order of their names."""
    files: dict[str, list[Path]] = {}
    for path in sorted(data.rglob("*.dcm")):
        header = pydicom.dcmread(path, stop_before_pixels=True)
        if header.get("Modality") == "CT":
            files.setdefault(str(header.SeriesInstanceUID), []).append(path)
    return [
        Series(_name(paths, data), tuple(pydicom.dcmread(path) for path in paths)) for paths in files.values()
    ]


def _name(paths: list[Path], data: Path) -> str:
    """Return the file's name for a single slice, the topmost folder's for more."""
    if len(paths) == 1:
        return paths[0].stem
    return paths[0].relative_to(data).parts[0]


def _row_of_series(series: Series, predict: Predict) -> list[str]:
    repaired = _give_one_frame_of_reference(series.instances)
    try:
        volume = read_volume(series.instances)
        found = interpret(predict(prepare(volume)), volume)
    except StudyRefused as refusal:
        return [series.name, str(len(series.instances)), *["-"] * 6, f"refused: {refusal}"]
    litres = {region.output: _cm3(region.mask, volume) for region in found.regions}
    masks = [region.mask for region in found.regions]
    network, classical = _joined(masks, volume), classical_lungs(volume)
    by_hand = _cm3(classical, volume)
    total = _cm3(network, volume)
    difference = f"{100 * (total - by_hand) / by_hand:+.1f} %" if by_hand else "-"
    sides = [f"{litres[name]:.0f}" if name in litres else "-" for name in ("right_lung", "left_lung")]
    return [
        series.name, str(volume.grid.shape[0]), f"{total:.0f}", *sides, f"{by_hand:.0f}", difference,
        f"{_dice(network, classical):.3f}", " ".join([*repaired, *found.remarks]) or "-",
    ]


def _give_one_frame_of_reference(instances: Sequence[Dataset]) -> list[str]:
    """Repair a series whose every slice got a frame of reference of its own from a de-identifier, and say so.

    The node refuses such a series: only who made a data set may know that its positions compare.
    """
    if len({instance.FrameOfReferenceUID for instance in instances}) < len(instances):
        return []
    for instance in instances:
        instance.FrameOfReferenceUID = instances[0].FrameOfReferenceUID
    return ["Frames of reference were joined first."]


def _row_of_slice(series: Series, predict: Predict) -> list[str]:
    try:
        volume = _thick_slice(series.instances[0])
        prediction = predict(prepare(volume))
    except StudyRefused as refusal:
        return [series.name, "-", "-", "-", f"refused: {refusal}"]
    marked = resample_values(np.asarray(prediction[..., 0]), network_grid(volume), volume.grid, Sampling()) > 0.5
    classical = classical_lungs(volume)
    found = interpret(prediction, volume)
    cm2 = [_cm3(mask, volume) / volume.grid.spacing_mm[0] * 10 for mask in (marked, classical)]
    verdict = ", ".join(region.output for region in found.regions) or "no region"
    return [
        series.name, f"{cm2[0]:.0f}", f"{cm2[1]:.0f}", f"{_dice(marked, classical):.3f}",
        f"{verdict}. {' '.join(found.remarks)}",
    ]


def _thick_slice(instance: Dataset) -> Volume:
    """Return a volume of one slice, made by stacking it with a copy of itself, which is taken off again."""
    above = pydicom.dcmread(instance.filename)
    x, y, z = (float(value) for value in instance.ImagePositionPatient)
    above.ImagePositionPatient = [x, y, z + float(instance.SliceThickness)]
    above.SOPInstanceUID = f"{instance.SOPInstanceUID}.1"
    pair = read_volume([instance, above])
    grid = replace(pair.grid, shape=(1, *pair.grid.shape[1:]))
    return replace(pair, voxels=pair.voxels[:1], padding=pair.padding[:1], sources=pair.sources[:1], grid=grid)


def _joined(masks: list[Mask], volume: Volume) -> Mask:
    return np.asarray(np.any([np.zeros_like(volume.padding), *masks], axis=0))


def _cm3(mask: Mask, volume: Volume) -> float:
    return float(mask.sum() * volume.grid.voxel_mm3 / 1000.0)


def _dice(network: Mask, classical: Mask) -> float:
    return score(classical.astype(np.float32), network).dice


def _table(head: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = [list(head), ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
