"""Studies made for a test in one line: each call states only the fact that matters to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset

from node.demo.wrapping import ChestHeader, Picture, wrap_chest, write_instance

DX = uid.DigitalXRayImageStorageForPresentation
CR = uid.ComputedRadiographyImageStorage
SC = uid.SecondaryCaptureImageStorage

OPPOSITE = {"L": "R", "R": "L", "F": "H", "H": "F", "A": "P", "P": "A"}


def chest_dx(picture: Path | Picture, **facts: Any) -> Dataset:
    """Return a valid DX (or CR, SC by `sop_class`) instance that shows the picture.

    Lower-case facts are fields of `ChestHeader`: `spacing=None`, `orientation=("R", "F")`,
    `photometric="MONOCHROME1"`, `bits=12`, `patient_id="X"`, `study_uid=...`. Facts that are DICOM
    keywords are set last, as in `WindowCenter=40`; one that is None is taken out. A picture of 8
    bits is spread over `bits`. UIDs not given follow from the other facts and the pixels.
    """
    fields = {name: fact for name, fact in facts.items() if name[0].islower()}
    header = ChestHeader(**fields)
    dataset = wrap_chest(_spread(read_picture(picture), header.bits), header)
    for keyword, fact in facts.items():
        if keyword in fields:
            continue
        if fact is None:
            del dataset[keyword]
        else:
            setattr(dataset, keyword, fact)
    return dataset


def write(dataset: Dataset, folder: Path) -> Path:
    """Write the instance as a Part 10 file in the folder, and return its path."""
    return write_instance(dataset, folder)


def read_picture(picture: Path | Picture) -> Picture:
    """Return (rows, columns) uint8 or uint16, 0 black, of a picture file or of an array."""
    if not isinstance(picture, Path):
        return picture
    with Image.open(picture) as opened:
        if opened.mode.startswith("I"):
            return np.asarray(opened).astype(np.uint16)
        return np.asarray(opened.convert("L"))


def shaded_picture(rows: int = 61, columns: int = 47, seed: int = 1) -> Picture:
    """Return a small 8-bit picture, not square and of odd size, no two of whose rotations are alike."""
    down = np.linspace(0, 120, rows)[:, np.newaxis]
    across = np.linspace(0, 90, columns)[np.newaxis, :]
    grain = np.random.default_rng(seed).integers(0, 40, (rows, columns))
    return (down + across + grain).astype(np.uint8)


def mirrored(picture: Picture, orientation: tuple[str, str]) -> tuple[Picture, tuple[str, str]]:
    """Return the picture flipped left to right, with the PatientOrientation it then has."""
    rows_to, columns_to = orientation
    return np.ascontiguousarray(picture[:, ::-1]), (_opposite(rows_to), columns_to)


def rotated(
    picture: Picture, orientation: tuple[str, str], quarter_turns: int = 1
) -> tuple[Picture, tuple[str, str]]:
    """Return the picture turned anticlockwise, with the PatientOrientation it then has."""
    for _ in range(quarter_turns % 4):
        picture = np.ascontiguousarray(np.rot90(picture))
        orientation = (orientation[1], _opposite(orientation[0]))
    return picture, orientation


def _opposite(direction: str) -> str:
    return "".join(OPPOSITE[letter] for letter in direction)


def _spread(picture: Picture, bits: int) -> Picture:
    if picture.dtype != np.uint8 or bits <= 8:
        return picture
    spread: Picture = np.round(picture * ((2**bits - 1) / 255)).astype(np.uint16)
    return spread
