"""Finds nodules without a network, by how round a bright spot is: the bar that the network has to clear.

Li Q, Sone S, Doi K: Selective enhancement filters for nodules, vessels, and airway walls in two- and
three-dimensional CT scans. Med Phys 2003; 30: 2040-2051.
"""

from __future__ import annotations

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from node.imaging.volume import Grid, Volume
from node.vocabulary import Mask

from .candidates import Spot
from .preprocess import search_region
from .working_grid import FINE_MM, on_grid

SIGMAS_MM = (1.5, 2.3, 3.4, 5.1, 7.7, 11.5)
LEAST_DOT = 10.0
# A ball of radius r answers best to a Gaussian of r / sqrt(3).
RADIUS_OF_SIGMA = float(np.sqrt(3.0))
# Soft tissue is cut off above, so that bone beside the lung does not outshine what lies in it.
WINDOW_HU = (-1000.0, 50.0)
FULL_DOT = 200.0

Field = NDArray[np.float32]


def classical_candidates(volume: Volume) -> list[Spot]:
    """Return bright spots in the lungs, scored by the dot filter at the scale that suits each best."""
    region, grid = search_region(volume)
    hu = np.clip(on_grid(volume, grid), *WINDOW_HU)
    spots = [spot for sigma in SIGMAS_MM for spot in _spots(hu, region, grid, sigma)]
    return _without_repeats(sorted(spots, key=lambda spot: -spot.score))


def _spots(hu: Field, region: Mask, grid: Grid, sigma_mm: float) -> list[Spot]:
    """Return the places where the dot filter of one scale answers more than at their neighbours."""
    smooth = SimpleITK.SmoothingRecursiveGaussian(SimpleITK.GetImageFromArray(hu), sigma_mm / FINE_MM)
    field = SimpleITK.GetArrayFromImage(smooth)
    bright = -SimpleITK.GetArrayFromImage(SimpleITK.Laplacian(smooth))
    highest = SimpleITK.GetArrayFromImage(SimpleITK.GrayscaleDilate(SimpleITK.GetImageFromArray(bright), [1, 1, 1]))
    inner = np.zeros_like(region)
    inner[1:-1, 1:-1, 1:-1] = region[1:-1, 1:-1, 1:-1]
    places = np.argwhere(inner & (bright == highest) & (bright > 0))
    answers = (sigma_mm / FINE_MM) ** 2 * dot(curvatures(field, places))
    return [
        Spot(grid.position_mm(tuple(place)), 2 * RADIUS_OF_SIGMA * sigma_mm, min(1.0, float(answer) / FULL_DOT))
        for place, answer in zip(places.astype(float), answers, strict=True)
        if answer > LEAST_DOT
    ]


def curvatures(field: Field, places: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the eigenvalues of the second derivatives at some voxels, (places, 3), the lowest first."""
    steps = np.eye(3, dtype=int)

    def at(offset: NDArray[np.int64]) -> NDArray[np.float64]:
        moved = places + offset
        return np.asarray(field[moved[:, 0], moved[:, 1], moved[:, 2]], np.float64)

    second = np.empty((len(places), 3, 3))
    for a in range(3):
        for b in range(3):
            second[:, a, b] = (
                at(steps[a] + steps[b]) - at(steps[a] - steps[b]) - at(steps[b] - steps[a]) + at(-steps[a] - steps[b])
            ) / 4 if a != b else at(steps[a]) - 2 * at(0 * steps[a]) + at(-steps[a])
    return np.asarray(np.linalg.eigvalsh(second))


def dot(eigenvalues: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how much a bright spot bends down in all directions alike: Li's filter for dots.

    A vessel, which is straight in one direction, gives next to nothing, and what bends up in one, 0.
    """
    flattest, steepest = eigenvalues[:, 2], eigenvalues[:, 0]
    is_dot = flattest < 0
    return np.where(is_dot, flattest**2 / np.maximum(-steepest, 1e-6), 0.0)


def _without_repeats(ranked: list[Spot]) -> list[Spot]:
    """Return the candidates, the best first, less those whose middle lies in a better one, or the other way round."""
    if not ranked:
        return []
    middles = np.array([candidate.middle_mm for candidate in ranked])
    radii = np.array([candidate.diameter_mm / 2 for candidate in ranked])
    kept: list[int] = []
    for number in range(len(ranked)):
        gaps = np.linalg.norm(middles[kept] - middles[number], axis=1)
        if (gaps > np.maximum(radii[kept], radii[number])).all():
            kept.append(number)
    return [ranked[number] for number in kept]
