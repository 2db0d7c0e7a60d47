"""Moves a volume in the patient by changing its grid alone: turned, mirrored, scaled, cut."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from node.imaging.volume import Grid, Volume

Matrix = NDArray[np.float64]


def move(volume: Volume, matrix: Matrix) -> Volume:
    """Return the volume with its places in the patient mapped by a (3, 3) matrix about its middle."""
    grid = volume.grid
    slices, rows, columns = ((count - 1) / 2 for count in grid.shape)
    middle = grid.position_mm((slices, rows, columns))
    x, y, z = (matrix @ (np.array(grid.origin_mm) - middle) + middle).tolist()
    steps = (matrix @ np.array(grid.steps_mm).T).T
    return replace(volume, grid=Grid(grid.shape, (x, y, z), tuple(tuple(step) for step in steps.tolist())))


def stretch(volume: Volume, factors: tuple[float, float, float]) -> Volume:
    """Return the volume with the distances between its slices, rows and columns multiplied, as by a wrong header."""
    steps = np.array(volume.grid.steps_mm) * np.array(factors)[:, np.newaxis]
    grid = replace(volume.grid, steps_mm=tuple(tuple(step) for step in steps.tolist()))
    return replace(volume, grid=grid)


def cut(volume: Volume, axis: int, start: int, stop: int) -> Volume:
    """Return the part of the volume from `start` up to `stop` along an axis, where it lay."""
    keep = tuple(slice(start, stop) if other == axis else slice(None) for other in range(3))
    first = [0.0, 0.0, 0.0]
    first[axis] = float(start)
    x, y, z = volume.grid.position_mm((first[0], first[1], first[2])).tolist()
    voxels = np.ascontiguousarray(volume.voxels[keep], np.float32)
    grid = Grid((voxels.shape[0], voxels.shape[1], voxels.shape[2]), (x, y, z), volume.grid.steps_mm)
    return replace(volume, voxels=voxels, padding=np.zeros(voxels.shape, np.bool_), grid=grid)


def axis_towards(volume: Volume, direction: int) -> int:
    """Return which axis of the volume runs most nearly along x (0), y (1) or z (2) of the patient."""
    return int(np.argmax(np.abs(np.array(volume.grid.steps_mm)[:, direction]) / np.array(volume.grid.spacing_mm)))


def draw_turn(most_degrees: float, rng: Generator) -> Matrix:
    """Draw a rotation by up to so many degrees about each of the patient's axes."""
    matrix = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(rng.uniform(-most_degrees, most_degrees, 3))):
        one, other = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[one, one] = turn[other, other] = np.cos(angle)
        turn[one, other], turn[other, one] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return matrix


def draw_wrong_axes(rng: Generator) -> Matrix:
    """Draw one of the 46 ways in which the axes of a head may be exchanged or reversed so that it shows.

    Left and right alone exchanged do not show, since a brain has two alike sides; that is never drawn.
    """
    while True:
        matrix = np.eye(3)[rng.permutation(3)] * rng.choice((-1.0, 1.0), 3)[:, np.newaxis]
        if not np.array_equal(np.abs(matrix), np.eye(3)) or (np.diag(matrix)[1:] < 0).any():
            return np.asarray(matrix, np.float64)
