"""Which pictures train and test this model, and how each becomes what the network sees."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from node.training.class_batches import ClassPictures
from node.training.class_folders import ClassLayout, ClassSample, choose_class_samples, read_class_samples
from node.training.samples import Split, read_picture
from node.vocabulary import Pixels

from .healthy import read_healthy
from .preprocess import CLASSES, NO_TUMOUR, look_at

PICTURES, HEALTHY = "brain_tumor_mri", "brain_t1_ixi"
PER_PLANE = 2  # slices of each healthy volume across each axis

# Pictures that look alike, such as neighbouring slices, are kept in one split (`clean_split`).
LAYOUT = ClassLayout(
    labels={
        "glioma": "glioma",
        "glioma_tumor": "glioma",
        "meningioma": "meningioma",
        "meningioma_tumor": "meningioma",
        "pituitary": "pituitary",
        "pituitary_tumor": "pituitary",
        "notumor": "no_tumour",
        "no_tumor": "no_tumour",
    },
    split="clean_split",
    owner="neardup_group",
)

# The split that the set comes with. A third of its test pictures look like training pictures, so it serves only to
# compare with what others report.
OFFICIAL = replace(LAYOUT, split="official_split", keeps_copies=True)


def read_all(data: Path, layout: ClassLayout = LAYOUT) -> list[ClassSample]:
    """Return the pictures of `data`, or of the folder `brain_tumor_mri` in it; raises TrainingDataError."""
    return read_class_samples(pictures_folder(data), layout)


def pictures_folder(data: Path) -> Path:
    """Return the folder `brain_tumor_mri` in `data`, or `data` itself where there is none."""
    inner = data / PICTURES
    return inner if inner.is_dir() else data


def healthy_folder(data: Path) -> Path | None:
    """Return the folder `brain_t1_ixi` in `data` or beside it, if there is one."""
    places = (data / HEALTHY, data.resolve().parent / HEALTHY)
    return next((place for place in places if place.is_dir()), None)


def prepare_split(data: Path, split: Split, seed: int) -> ClassPictures:
    """Return the pictures of one split, and slices of healthy volumes of that split where there are any."""
    samples = choose_class_samples(read_all(data), split)
    pictures = [np.stack([prepare_sample(sample) for sample in samples])[..., np.newaxis]]
    classes = [CLASSES.index(sample.label) for sample in samples]
    folder = healthy_folder(data)
    if folder is not None:
        rng = np.random.default_rng([seed, list(Split).index(split)])
        pictures.append(read_healthy(folder, split, PER_PLANE, rng))
        classes += [NO_TUMOUR] * len(pictures[-1])
    return ClassPictures(np.concatenate(pictures), np.array(classes), len(CLASSES))


def prepare_sample(sample: ClassSample) -> Pixels:
    """Return a picture as (128, 128), seen as a slice of a series would be."""
    image = read_picture(sample.picture)
    return look_at(image.pixels, ~image.padding)
