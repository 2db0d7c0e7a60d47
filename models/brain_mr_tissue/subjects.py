"""Reads the heads this model learns from, on the grid of the network: scanned ones with labels, and made-up ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK
from numpy.random import Generator

from node.errors import TrainingDataError
from node.imaging.head import Box, head_box, normalise_head
from node.imaging.regrid import Interpolation, resample_volume
from node.imaging.upright import resample_upright, turn_upright
from node.imaging.volume import Grid, Unit, Volume
from node.imaging.volume_files import read_volume_file
from node.training.head_maps import (
    GREY_MATTER,
    OUTER_FLUID,
    UNCERTAIN,
    VENTRICLES,
    WHITE_MATTER,
    HeadMap,
)
from node.training.head_synthesis import ScanLimits, synthesise_head
from node.training.subjects import Subject
from node.vocabulary import Pixels

from .preprocess import STEP_MM
from .truth import May, Truth

OF_LABEL = (May.BACKGROUND, May.CSF, May.GREY, May.WHITE)  # by the labels 0 to 3 of the tissue files


@dataclass(frozen=True)
class LabelledHead:
    """Normalised grey values and what each voxel may be, both (slices, rows, columns) of 2 mm; `box` is the head."""

    voxels: Pixels
    truth: Truth
    box: Box


def read_labelled(subject: Subject) -> tuple[Volume, Truth]:
    """Return the volume and its labels 0 to 3, both as the files have them.

    Raises TrainingDataError where there are no labels or they do not lie on the volume.
    """
    if subject.labels is None:
        raise TrainingDataError(f"{subject.name}: has no labels in tissue/; restore the file")
    volume = read_volume_file(subject.volume, Unit.STORED)
    labels = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(subject.labels))).astype(np.uint8)
    if labels.shape != volume.grid.shape:
        raise TrainingDataError(
            f"{subject.labels.name}: found {labels.shape} voxels, expected {volume.grid.shape} as in "
            f"{subject.volume.name}"
        )
    return volume, labels


def label_head(volume: Volume, labels: Truth) -> LabelledHead:
    """Bring a scan and its labels to the grid of the network."""
    turn = turn_upright(volume.grid)
    image = resample_upright(volume, STEP_MM)
    may = np.array(OF_LABEL, np.uint8)[turn.apply(labels)]
    return _labelled(image, may, turn.apply_to_grid(volume.grid))


def make_up_head(head: HeadMap, may: Truth, limits: ScanLimits, rng: Generator) -> LabelledHead:
    """Draw a scan of a label map, whose tissues are `may`."""
    return _labelled(resample_upright(synthesise_head(head, limits, rng), STEP_MM), may, head.grid)


def tissues_of(head: HeadMap) -> Truth:
    """Return what most of each 2 mm voxel of a label map may be.

    The maps call all fluid round the brain CSF, the labels of the scans only some of it: there it may be either.
    """
    groups = {
        May.GREY: GREY_MATTER,
        May.WHITE: WHITE_MATTER,
        May.CSF: VENTRICLES,
        May.OUTER_FLUID: OUTER_FLUID,
        May.BRAIN: UNCERTAIN,
    }
    shares = np.stack([head.share(labels) for labels in groups.values()])
    meanings = np.array([*groups, May.BACKGROUND], np.uint8)
    return meanings[np.concatenate([shares, 1.0 - shares.sum(axis=0, keepdims=True)]).argmax(axis=0)]


def _labelled(image: Volume, may: Truth, grid: Grid) -> LabelledHead:
    codes = Volume(may.astype(np.int16), grid, Unit.STORED, np.zeros(may.shape, np.bool_), (), "")
    moved = resample_volume(codes, image.grid, Interpolation.NEAREST)
    truth = np.where(moved.padding, np.int16(May.BACKGROUND), moved.voxels).astype(np.uint8)
    return LabelledHead(normalise_head(image), truth, head_box(image))
