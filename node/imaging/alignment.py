"""Lays a volume over a template: where each place of the template is in the patient, and the volume seen there.

The way is an affine map found by registration: from the top of the head to a rigid and on to
an affine map, each the best for the mutual information of grey values, which asks neither for markers
nor for the contrast of the template's scanner.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from node.errors import SeriesRefused
from node.imaging.itk import grid_of, to_image
from node.imaging.regrid import Sampling, resample_values
from node.imaging.volume import Grid, Volume
from node.vocabulary import Mask, Pixels

Matrix = NDArray[np.float64]
FLOAT = SimpleITK.sitkFloat32

COARSE_MM, FINE_MM = 8.0, 4.0
AIR = 16  # voxels of FINE_MM added around, so that a volume that ends early is no way to a better agreement
RELAXATION = 0.6
MATRIX_DECIMALS, OFFSET_DECIMALS = 6, 4
LEVELS = 32  # of grey, in the joint histogram (Mattes et al., IEEE Trans Med Imaging 22, 2003)

# The place of a head is told by its top, because a volume may show the neck or end above it.
HEAD_GREY, TOP_PERCENTILE, HEAD_MM = 0.3, 99.8, 120.0
BRIGHT, BRIGHTEST = 1.5, 1.2  # times the median of what is seen; brighter fat must not set the scale
SMALLEST, LARGEST = 0.80, 1.25  # heads of adults lie between 0.90 and 1.12 times a mean one along any axis
SEEN = 0.08  # of the brightest: what is darker is air


@dataclass(frozen=True)
class Descent:
    """How far one step moves the voxels, at first and at the least, and how many steps there are."""

    first_step_mm: float
    last_step_mm: float
    steps: int


RIGID_DESCENT = Descent(1.0, 0.01, 40)
AFFINE_DESCENT = Descent(0.25, 0.005, 60)  # with longer steps an affine map loses the head it was laid on


@dataclass(frozen=True)
class Template:
    """What a volume is laid over: grey values, air 0 and tissue about 1, and where they are compared."""

    voxels: Pixels
    grid: Grid
    mask: Mask


@dataclass(frozen=True)
class Alignment:
    """Where a place (x, y, z) of the template is in the patient: `matrix` @ place + `offset_mm`.

    `agreement` is the mutual information of both inside the template's mask, in nats: the higher, the
    more alike.
    """

    matrix: Matrix
    offset_mm: Matrix
    agreement: float

    @property
    def stretches(self) -> tuple[float, float, float]:
        """Return how many times the template's size the patient's is along three axes, the most first."""
        most, middle, least = np.linalg.svd(self.matrix, compute_uv=False)
        return float(most), float(middle), float(least)

    @property
    def is_plausible(self) -> bool:
        """Say whether the patient's head is of a size that heads have; a registration gone astray seldom is."""
        most, _, least = self.stretches
        return least >= SMALLEST and most <= LARGEST

    def rigid(self) -> Alignment:
        """Return the nearest way without scaling and shear, the same at the template's origin.

        The rotation is that of the polar decomposition (Higham, SIAM J. Sci. Stat. Comput. 7, 1986).
        """
        left, _, right = np.linalg.svd(self.matrix)
        return Alignment(left @ right, self.offset_mm, self.agreement)


def align_head(volume: Volume, template: Template) -> Alignment:
    """Return the way from a template to a volume that shows the same kind of head, roughly upright.

    Threads add up in any order, which moves the last digits: the way is rounded to a ten-thousandth of a
    millimetre. Raises SeriesRefused where the volume shows nothing that could be laid there.
    """
    moving = _smooth(_coarsen(to_image(scale_grey(volume), volume.grid), FINE_MM), FINE_MM / 2)
    moving = SimpleITK.ConstantPad(moving, [AIR] * 3, [AIR] * 3, 0.0)
    fixed = SimpleITK.Cast(to_image(template.voxels, template.grid), FLOAT)
    mask = to_image(template.mask.astype(np.uint8), template.grid)
    coarse = (_halve(_smooth(fixed, COARSE_MM)), _halve(mask), _smooth(moving, COARSE_MM))

    start = SimpleITK.Euler3DTransform()
    start.SetTranslation((_place_of(moving) - head_place_mm(template.voxels, template.grid)).tolist())
    rigid, _ = _improve(start, coarse, RIGID_DESCENT)
    affine = SimpleITK.AffineTransform(3)
    affine.SetMatrix(rigid.GetMatrix())
    affine.SetTranslation(_offset(rigid).tolist())
    roughly, _ = _improve(affine, coarse, AFFINE_DESCENT)
    finely, agreement = _improve(roughly, (fixed, mask, moving), AFFINE_DESCENT)
    matrix = np.array(finely.GetMatrix()).reshape(3, 3).round(MATRIX_DECIMALS)
    return Alignment(matrix, _offset(finely).round(OFFSET_DECIMALS), agreement)


def resample_aligned(voxels: Pixels, grid: Grid, alignment: Alignment, onto: Grid) -> Pixels:
    """Return values of a volume's grid on a grid of the template, interpolated linearly, 0 outside the volume."""
    way = SimpleITK.AffineTransform(3)
    way.SetMatrix(alignment.matrix.ravel().tolist())
    way.SetTranslation(alignment.offset_mm.tolist())
    coarse = _coarsen(to_image(voxels, grid), max(onto.spacing_mm))
    means: Pixels = SimpleITK.GetArrayFromImage(coarse)
    return resample_values(means, grid_of(coarse), onto, Sampling(way=way))


def scale_grey(volume: Volume) -> Pixels:
    """Return the voxels so that air is about 0 and tissue about 1, fat at most 1.2, and padding 0."""
    values = volume.voxels.astype(np.float32) - float(volume.voxels.min())
    values[volume.padding] = 0.0
    seen = values[values > SEEN * float(np.percentile(values, 99.9))]
    bright = BRIGHT * float(np.median(seen)) if seen.size else 1.0
    return np.asarray(np.clip(values / bright, 0.0, BRIGHTEST), np.float32)


def head_place_mm(grey: Pixels, grid: Grid) -> Matrix:
    """Return where a head is: the middle of its upper part from side to side and front to back, and its top."""
    places_mm = np.argwhere(grey > HEAD_GREY) @ np.array(grid.steps_mm) + np.array(grid.origin_mm)
    top = float(np.percentile(places_mm[:, 2], TOP_PERCENTILE))
    head = places_mm[places_mm[:, 2] > top - HEAD_MM]
    return np.array([*head[:, :2].mean(axis=0), top])


def _improve(
    start: Any, images: tuple[SimpleITK.Image, SimpleITK.Image, SimpleITK.Image], descent: Descent
) -> tuple[Any, float]:
    """Return the best way near `start`, and the agreement there, of a fixed image, its mask and a moving image."""
    fixed, mask, moving = images
    registration = SimpleITK.ImageRegistrationMethod()
    registration.SetMetricAsMattesMutualInformation(LEVELS)
    registration.SetMetricFixedMask(mask)
    registration.SetInterpolator(SimpleITK.sitkLinear)
    registration.SetOptimizerAsRegularStepGradientDescent(
        descent.first_step_mm, descent.last_step_mm, descent.steps, RELAXATION
    )
    registration.SetOptimizerScalesFromPhysicalShift()
    way = type(start)(start)
    registration.SetInitialTransform(way, True)
    try:
        registration.Execute(fixed, moving)
    except RuntimeError as error:  # SimpleITK's only kind of error: here that both do not overlap
        raise SeriesRefused(
            "the series shows nothing where a head would be, expected a whole head; send the whole series"
        ) from error
    return way, -float(registration.GetMetricValue())


def _offset(way: Any) -> Matrix:
    """Return where the template's origin is in the patient."""
    return np.array(way.TransformPoint((0.0, 0.0, 0.0)))


def _coarsen(image: SimpleITK.Image, spacing_mm: float) -> SimpleITK.Image:
    """Return the image averaged over whole voxels until they are about this large; never finer than it was."""
    factors = [max(1, round(spacing_mm / old)) for old in image.GetSpacing()]
    return SimpleITK.Cast(SimpleITK.BinShrink(image, factors), FLOAT)


def _smooth(image: SimpleITK.Image, full_width_mm: float) -> SimpleITK.Image:
    return SimpleITK.SmoothingRecursiveGaussian(image, full_width_mm / 2.355)


def _halve(image: SimpleITK.Image) -> SimpleITK.Image:
    return SimpleITK.Shrink(image, [2, 2, 2])


def _place_of(image: SimpleITK.Image) -> Matrix:
    return head_place_mm(SimpleITK.GetArrayFromImage(image), grid_of(image))
