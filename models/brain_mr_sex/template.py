"""How the mean head of this folder, which brain_mr_age shares, was made."""

from __future__ import annotations

from pathlib import Path

from node.errors import TrainingDataError
from node.imaging.volume import Unit
from node.imaging.volume_files import read_volume_file
from node.training.mean_head import LabelledHead, make_mean_head
from node.training.samples import Split
from node.training.subjects import Subject, choose_subjects, read_subjects

EVERY = 3  # thirty heads have as sharp a mean as ninety, in a third of the time


def make_template(data: Path, folder: Path) -> None:
    """Write template.nii.gz and zones.nii.gz from every third training subject, in the order of their names."""
    subjects = sorted(choose_subjects(read_subjects(data), Split.TRAIN), key=lambda subject: subject.name)
    make_mean_head([_read(subject) for subject in subjects[::EVERY]], folder)


def _read(subject: Subject) -> LabelledHead:
    if subject.labels is None:
        raise TrainingDataError(f"{subject.name}: has no labels in tissue/, which the zones need; add the file")
    labels = read_volume_file(subject.labels, Unit.STORED)
    return LabelledHead(read_volume_file(subject.volume, Unit.STORED), labels.voxels)
