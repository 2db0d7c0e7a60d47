"""Plain values that several steps of the data path hand to each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.sr.coding import Code

Mask = NDArray[np.bool_]
Pixels = NDArray[np.float32]

NOT_FOR_DIAGNOSIS = "AI result, not for diagnosis"


@dataclass(frozen=True)
class Region:
    """A structure a model outlined: the name of one of its outputs and a mask on the source grid.

    `output` is a key of `[output.<name>]` in the model's `model.toml`, which holds the codes.
    `mask` is (rows, columns) for a planar image, True inside the structure.
    """

    output: str
    mask: Mask


@dataclass(frozen=True)
class Interpretation:
    """What a model's `interpret` concluded from one prediction.

    `remarks` are complete English sentences for the reader of the report, such as the reason why
    a side is not stated.
    """

    regions: tuple[Region, ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measurement:
    """A number with its coded name and UCUM unit, and how it was obtained."""

    name: Code
    value: float
    unit: Code
    method: str = ""


@dataclass(frozen=True)
class Finding:
    """One segmented structure with its codes and measurements, before it becomes DICOM."""

    name: str
    label: str
    category: Code
    property_type: Code
    modifier: Code | None
    colour_rgb: tuple[int, int, int]
    mask: Mask
    measurements: tuple[Measurement, ...] = ()


@dataclass(frozen=True)
class ModelIdentity:
    """Which model concluded something: its name, version and the SHA-256 over all its files."""

    name: str
    title: str
    version: str
    sha256: str
