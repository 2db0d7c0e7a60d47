"""Which pictures train and test this model, and how each becomes what a network sees."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from node.imaging.resample import letterbox
from node.training.class_batches import ClassPictures
from node.training.class_folders import ClassLayout, ClassSample, read_class_samples
from node.training.samples import Split, read_picture

from .preprocess import CLASSES, look_at

LAYOUT = ClassLayout(labels={name: name for name in CLASSES})
WHOLE_SIZE = 224  # of the pictures that the tutorial shows
FOLDERS = ("oct_kermany", "oct_kermany_more")


def read_all(data: Path) -> list[ClassSample]:
    """Return the pictures of `data`, or of the folders `oct_kermany*` in it; raises TrainingDataError.

    Of several folders the first states the splits; patients whom only the others know are for training.
    """
    first, *others = (read_class_samples(folder, LAYOUT) for folder in folders_of(data))
    tested = {sample.picture.patient for sample in first if sample.split is Split.TEST}
    further = [sample for samples in others for sample in samples if sample.picture.patient not in tested]
    return first + [sample.moved_to(Split.TRAIN) for sample in further]


def folders_of(data: Path) -> list[Path]:
    """Return the folders `oct_kermany*` in `data`, the one that states splits first; `data` where there are none."""
    inner = [data / name for name in FOLDERS if (data / name).is_dir()]
    return inner or [data]


def for_learning(samples: Sequence[ClassSample]) -> list[ClassSample]:
    """Return every picture outside the test split: with so few, none is kept back for validation."""
    return [sample for sample in samples if sample.split is not Split.TEST]


def prepare_all(samples: Sequence[ClassSample]) -> ClassPictures:
    """Return pictures as (n, 96, 192, 1), the retina laid flat, and their classes."""
    pictures = np.stack([look_at(read_picture(sample.picture)) for sample in samples])[..., np.newaxis]
    return ClassPictures(pictures, _classes(samples), len(CLASSES))


def prepare_whole(samples: Sequence[ClassSample]) -> ClassPictures:
    """Return whole pictures as (n, 224, 224, 1) in 0..1, as the tutorial shows them."""
    pictures = np.stack([letterbox(read_picture(sample.picture).pixels, WHOLE_SIZE) for sample in samples])
    return ClassPictures(np.clip(pictures, 0.0, 1.0)[..., np.newaxis], _classes(samples), len(CLASSES))


def _classes(samples: Sequence[ClassSample]) -> np.ndarray:
    return np.array([CLASSES.index(sample.label) for sample in samples])
