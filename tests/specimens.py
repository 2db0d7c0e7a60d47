"""What the contract shows to every model: a picture, a chest or a head of sizes that divide by nothing."""

from __future__ import annotations

import numpy as np
from builders import shaded_picture
from numpy.typing import NDArray

from node.catalog import Model
from node.imaging.image import PlanarImage
from node.imaging.volume import Grid, Unit, Volume

Axes = tuple[float, float, float]
AIR_HU, LUNG_HU, TISSUE_HU = -1000, -850, 40


def specimens(model: Model) -> list[PlanarImage | Volume]:
    """Return images of the kind the model takes, at least one of which it must not refuse."""
    if model.level == "instance":
        return [odd_image()]
    (modality, *_) = next(iter(model.card.input.values())).modality
    if modality == "CT":
        return [odd_chest()]
    return [odd_head((2.1, 1.9, 2.0)), odd_head((5.1, 1.3, 1.2)), odd_head((4.1, 3.9, 4.0))]


def odd_image() -> PlanarImage:
    """Return a picture that is neither square nor of even size, with padding at one edge."""
    pixels = shaded_picture(rows=301, columns=257).astype(np.float32) / 255.0
    padding = np.zeros(pixels.shape, np.bool_)
    padding[:, :9] = True
    return PlanarImage(pixels, padding, "L", "F", view_position="PA")


def odd_chest() -> Volume:
    """Return two lungs in a block of tissue in air, whose slices run to the feet and lie askew."""
    grid = Grid((53, 97, 121), (-160.0, -130.0, 120.0), ((0.3, 0.0, -4.9), (0.0, 2.9, 0.2), (2.8, 0.0, 0.2)))
    x, y, z = _coordinates(grid)
    voxels = np.full(grid.shape, AIR_HU, np.int16)
    voxels[(x / 150) ** 2 + (y / 110) ** 2 < 1] = TISSUE_HU
    for side in (-1, 1):
        voxels[((x - side * 70) / 50) ** 2 + (y / 80) ** 2 + (z / 105) ** 2 < 1] = LUNG_HU
    padding = np.zeros(grid.shape, np.bool_)
    padding[:, :, :3] = True
    return Volume(voxels, grid, Unit.HOUNSFIELD, padding, (), "2.25.1")


def odd_head(spacing_mm: Axes) -> Volume:
    """Return a head in air as a T1 would show it: scalp, skull, fluid, grey and white matter, ventricles."""
    size_mm = np.array((189.0, 217.0, 177.0))
    slices, rows, columns = (int(count) | 1 for count in size_mm / spacing_mm)
    step, row, column = spacing_mm
    steps = ((0.1, 0.0, step), (0.0, row, 0.0), (column, 0.0, 0.1))
    grid = Grid((slices, rows, columns), (-90.0, -110.0, -90.0), steps)
    x, y, z = _coordinates(grid)
    rng = np.random.default_rng(3)
    voxels = np.zeros(grid.shape, np.float32)
    for shrunk_mm, brightness in ((0, 900), (6, 60), (12, 200), (16, 600), (20, 850)):
        inside = (x / (76 - shrunk_mm)) ** 2 + (y / (95 - shrunk_mm)) ** 2 + (z / (82 - shrunk_mm)) ** 2 < 1
        voxels[inside] = brightness
    for side in (-1, 1):
        voxels[((x - side * 12) / 7) ** 2 + (y / 30) ** 2 + ((z - 5) / 12) ** 2 < 1] = 200
    noisy = np.clip(voxels + rng.normal(0, 15, voxels.shape), 0, None).astype(np.int16)
    return Volume(noisy, grid, Unit.STORED, np.zeros(grid.shape, np.bool_), (), "2.25.1")


def _coordinates(grid: Grid) -> tuple[NDArray[np.float64], ...]:
    """Return x, y and z of every voxel in mm, counted from the middle of the grid."""
    indices = np.moveaxis(np.indices(grid.shape), 0, -1)
    places = indices @ np.array(grid.steps_mm) + np.array(grid.origin_mm)
    middle = grid.position_mm(tuple((np.array(grid.shape) - 1) / 2))
    x, y, z = np.moveaxis(places - middle, -1, 0)
    return x, y, z
