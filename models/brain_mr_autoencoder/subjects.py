"""Reads the T1 volumes that the network learns from, with the grey values of their tissues: real and synthesised."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from node.errors import TrainingDataError
from node.imaging.volume import Unit, Volume
from node.imaging.volume_files import read_volume_file
from node.training.head_maps import GREY_MATTER, OUTER_FLUID, VENTRICLES, WHITE_MATTER, HeadMap, read_head_maps
from node.training.head_synthesis import ScanLimits, synthesise_head
from node.training.samples import Split
from node.training.subjects import Subject as Person
from node.training.subjects import choose_subjects
from node.training.subjects import read_subjects as read_people
from node.vocabulary import Pixels

from .head_box import average_blocks
from .variations import Subject, Tissues

FLUID, GREY, WHITE = 1, 2, 3  # in the tissue volumes of brain_t1_ixi
PURE = 0.9  # share of a voxel, from which its grey is that of the tissue
MAPS = "brain_labels_synthseg"
CLEAN = ScanLimits(
    t1_share=1.0, bias=0.0, noise=0.0, blur_mm=0.5, thick_share=0.0, crop_share=0.0, blank_share=0.5
)
# Which of the label maps, in the order of their names, belong to which split.
MAP_NUMBERS = {Split.TRAIN: range(11), Split.VALIDATION: range(11, 13), Split.TEST: range(13, 15)}


def read_subjects(data: Path, split: Split) -> dict[str, Subject]:
    """Return the subjects of one split by name, at full resolution.

    Raises TrainingDataError when the folder is laid out otherwise than `node.training.subjects` describes, or
    lacks the tissues of a subject.
    """
    return {person.name: _read_subject(person) for person in choose_subjects(read_people(data), split)}


def draw_subjects(data: Path, split: Split, each: int, seed: int) -> dict[str, Subject]:
    """Return so many synthesised T1 heads of each label map of a split, from the folder of maps beside `data`."""
    maps = read_head_maps(data.parent / MAPS)
    rng = np.random.default_rng([seed, each])
    return {
        f"synthesised_{number}_{draw}": _synthesise(maps[number], rng)
        for number in MAP_NUMBERS[split]
        for draw in range(each)
    }


def coarsen(subject: Subject) -> Subject:
    """Return the subject in voxels of about 4 mm, which is all that the network sees and quicker to vary."""
    fluid, grey, white = (
        np.asarray(average_blocks(replace(subject.volume, voxels=share)).voxels, np.float32)
        for share in subject.shares
    )
    return replace(subject, volume=average_blocks(subject.volume), shares=(fluid, grey, white))


def _read_subject(person: Person) -> Subject:
    if person.labels is None:
        raise TrainingDataError(
            f"{person.name}: has no tissue labels, expected tissue/{person.name}*.nii.gz with 1 CSF, 2 grey and 3 "
            "white matter; add them, since made contrasts need to know the tissues"
        )
    volume, tissue = (read_volume_file(path, Unit.STORED) for path in (person.volume, person.labels))
    fluid, grey, white = ((tissue.voxels == label).astype(np.float32) for label in (FLUID, GREY, WHITE))
    return _subject(volume, (fluid, grey, white))


def _synthesise(head: HeadMap, rng: np.random.Generator) -> Subject:
    volume = synthesise_head(head, CLEAN, rng)
    fluid, grey, white = (head.share(labels) for labels in (VENTRICLES + OUTER_FLUID, GREY_MATTER, WHITE_MATTER))
    return _subject(volume, (fluid, grey, white))


def _subject(volume: Volume, shares: tuple[Pixels, Pixels, Pixels]) -> Subject:
    voxels: Pixels = volume.voxels.astype(np.float32)
    fluid, grey, white = (float(np.median(voxels[share > PURE])) for share in shares)
    return Subject(replace(volume, voxels=voxels), Tissues(fluid, grey, white), shares)
