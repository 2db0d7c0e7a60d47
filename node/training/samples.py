"""One labelled picture, before and after it is read from disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from node.errors import TrainingDataError
from node.imaging.image import PlanarImage
from node.vocabulary import Pixels

Truth = NDArray[np.float32]

BACKGROUND, STRUCTURE, IGNORED = 0.0, 1.0, -1.0


class Split(StrEnum):
    """What a picture is for; no patient is in two splits."""

    TRAIN = "train"
    VALIDATION = "val"
    TEST = "test"


@dataclass(frozen=True)
class Sample:
    """Where one picture and its masks lie, and whose it is.

    The structure is where any of `masks` is white. `group` names a subset that scores are also
    reported for, such as the licence class. `view` is PA, AP or empty.
    """

    name: str
    patient: str
    picture: Path
    masks: tuple[Path, ...]
    split: Split
    view: str = ""
    group: str = ""


def read_picture(sample: Sample) -> PlanarImage:
    """Return the grey picture with 0 black; nothing is known of its orientation or spacing."""
    pixels = _read_pixels(sample.picture)
    return PlanarImage(pixels, np.zeros(pixels.shape, np.bool_), view_position=sample.view)


def read_truth(sample: Sample) -> Truth:
    """Return the joined masks on the grid of the picture: STRUCTURE, BACKGROUND or IGNORED.

    A mask holds 0, 127 for a place where nobody can tell, and 255. Raises TrainingDataError for
    other values, or a mask of another size than its picture.
    """
    shape = _size(sample.picture)
    truth = np.full(shape, BACKGROUND, np.float32)
    for path in sample.masks:
        mask = _read_mask(path, shape)
        truth[(mask == 127) & (truth != STRUCTURE)] = IGNORED
        truth[mask == 255] = STRUCTURE
    return truth


def _read_mask(path: Path, shape: tuple[int, int]) -> NDArray[np.uint8]:
    mask = _read_grey(path)
    if mask.shape != shape:
        raise TrainingDataError(
            f"{path}: the mask has {mask.shape[0]} rows and {mask.shape[1]} columns, its picture {shape[0]} "
            f"and {shape[1]}; export both at one size"
        )
    values = np.unique(mask)
    if not np.isin(values, (0, 127, 255)).all():
        raise TrainingDataError(
            f"{path}: the mask holds the values {values[:8].tolist()}; expected 0, 127 (ignore) and 255; "
            "save it as a lossless PNG without smoothing"
        )
    return mask


def _read_pixels(path: Path) -> Pixels:
    """Return grey values as 0..1; of a picture of 16 bits the highest value found is 1."""
    with _open(path) as opened:
        if not opened.mode.startswith("I"):
            return np.asarray(opened.convert("L"), np.float32) / 255.0
        deep = np.asarray(opened).astype(np.float32)
        return deep / max(1.0, float(deep.max()))


def _read_grey(path: Path) -> NDArray[np.uint8]:
    """Return the file as (rows, columns) grey bytes; a two-valued PNG becomes 0 and 255."""
    with _open(path) as opened:
        return np.asarray(opened.convert("L"))


def _size(path: Path) -> tuple[int, int]:
    """Return (rows, columns) of a picture without decoding it."""
    with _open(path) as opened:
        return opened.height, opened.width


@contextmanager
def _open(path: Path) -> Iterator[Image.Image]:
    """Open a picture; raises TrainingDataError when it cannot be opened or decoded."""
    try:
        with Image.open(path) as opened:
            yield opened
    except OSError as error:
        raise TrainingDataError(f"{path}: cannot be read as a picture ({error}); restore the file") from error
