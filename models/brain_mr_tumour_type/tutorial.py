"""The tutorial's own way of showing pictures to its network, for comparison; it serves nobody.

Whole pictures of 130 x 130 in three equal channels and 0..1, varied by Keras' ImageDataGenerator: shear
0.2 degrees, zoom 0.3 for each side, shifts 0.2 of the side, the edge repeated outwards.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK
from numpy.random import Generator

from node.imaging.resample import stretch
from node.training.batches import Dealing, DrawnBatches, Example
from node.training.class_batches import ClassPictures
from node.training.class_folders import ClassSample
from node.training.samples import read_picture
from node.vocabulary import Pixels

from .preprocess import CLASSES

SIZE = 130
SHEAR_DEGREES, ZOOM, SHIFT = 0.2, 0.3, 0.2


def prepare_tutorial(samples: Sequence[ClassSample]) -> ClassPictures:
    """Return whole pictures as (n, 130, 130, 3) in 0..1."""
    pictures = [stretch(read_picture(sample.picture).pixels, (SIZE, SIZE)) for sample in samples]
    grey = np.clip(np.stack(pictures)[..., np.newaxis], 0.0, 1.0)
    classes = np.array([CLASSES.index(sample.label) for sample in samples])
    return ClassPictures(np.repeat(grey, 3, axis=-1), classes, len(CLASSES))


class TutorialBatches(DrawnBatches):
    """Every epoch shows each picture once in a new order, varied as the tutorial does."""

    def __init__(self, known: ClassPictures, dealing: Dealing) -> None:
        super().__init__(self._vary, len(known.pictures), dealing)
        self._known = known
        self._targets = known.targets

    def _vary(self, index: int, rng: Generator) -> Example:
        return vary_tutorial(self._known.pictures[index], rng), self._targets[index]


def vary_tutorial(picture: Pixels, rng: Generator) -> Pixels:
    """Return a (rows, columns, 3) picture sheared, zoomed and shifted."""
    rows, columns = picture.shape[:2]
    affine = SimpleITK.AffineTransform(2)
    affine.SetCenter([(columns - 1) / 2, (rows - 1) / 2])
    affine.Scale(rng.uniform(1 - ZOOM, 1 + ZOOM, 2).tolist())
    affine.Shear(0, 1, float(np.tan(np.deg2rad(rng.uniform(-SHEAR_DEGREES, SHEAR_DEGREES)))))
    affine.Translate((rng.uniform(-SHIFT, SHIFT, 2) * (columns, rows)).tolist())
    image = SimpleITK.GetImageFromArray(picture[..., 0])
    resampling = SimpleITK.ResampleImageFilter()
    resampling.SetReferenceImage(image)
    resampling.SetTransform(affine)
    resampling.SetInterpolator(SimpleITK.sitkLinear)
    resampling.UseNearestNeighborExtrapolatorOn()
    moved = SimpleITK.GetArrayFromImage(resampling.Execute(image))
    return np.repeat(np.asarray(moved, np.float32)[..., np.newaxis], 3, axis=-1)
