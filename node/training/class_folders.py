"""Finds pictures that belong to one of several classes, whichever of the usual layouts their folder has.

    table     images.csv with file, label, and where known split, patient (or other columns of these) and is_exact_copy
    splits    train/CLASS/X.jpeg with val/ and test/, as in the Kermany set, or Training/ and Testing/, as on Kaggle
    classes   CLASS/X.jpeg

The patient of CLASS-patient-number.jpeg is the part between the hyphens; every other picture is one of its own.
Where no split is given, or none for validation, owners are dealt out by a hash of their name.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from node.errors import TrainingDataError
from node.training.readers import PICTURE_SUFFIXES, deal_split
from node.training.samples import Sample, Split

_FOLDERS = {
    "train": Split.TRAIN,
    "training": Split.TRAIN,
    "val": Split.VALIDATION,
    "validation": Split.VALIDATION,
    "test": Split.TEST,
    "testing": Split.TEST,
}


@dataclass(frozen=True)
class ClassLayout:
    """What a data set calls things: `labels` maps folder names in lower case to classes.

    `split` and `owner` are the columns of images.csv that say what a row is for, and with which others
    it may not be parted: those of a patient, or of a group that looks the same. Rows marked as exact
    copies of others are left out unless it `keeps_copies`.
    """

    labels: Mapping[str, str]
    split: str = "split"
    owner: str = "patient"
    keeps_copies: bool = False


@dataclass(frozen=True)
class ClassSample:
    """A picture and its class; `picture` is a sample without masks."""

    picture: Sample
    label: str

    @property
    def split(self) -> Split:
        """Return what the picture is for."""
        return self.picture.split

    def moved_to(self, split: Split) -> ClassSample:
        """Return the same picture for another split."""
        return replace(self, picture=replace(self.picture, split=split))


def read_class_samples(folder: Path, layout: ClassLayout) -> list[ClassSample]:
    """Return every picture of the folder in a fixed order, with class and split.

    Raises TrainingDataError when the folder has none of the layouts, or a file or a class is unknown.
    """
    if (folder / "images.csv").is_file():
        samples = list(_read_table(folder, layout))
    else:
        samples = list(_read_folders(folder, layout))
    if not samples:
        raise TrainingDataError(
            f"{folder}: no picture of a class found; expected images.csv, or folders called "
            f"{', '.join(sorted(set(layout.labels)))}, alone or inside train/, val/ and test/"
        )
    return _with_validation(samples)


def choose_class_samples(samples: list[ClassSample], split: Split) -> list[ClassSample]:
    """Return the samples of one split; raises TrainingDataError when there are none."""
    chosen = [sample for sample in samples if sample.split is split]
    if not chosen:
        raise TrainingDataError(f"no picture in the split {split}; add pictures of further patients")
    return chosen


def _read_table(folder: Path, layout: ClassLayout) -> Iterator[ClassSample]:
    table = folder / "images.csv"
    with table.open(newline="", encoding="utf-8") as opened:
        reader = csv.DictReader(opened)
        missing = [name for name in ("file", "label") if name not in (reader.fieldnames or ())]
        if missing:
            raise TrainingDataError(f"{table}: lacks the columns {', '.join(missing)}; add them")
        for row in reader:
            if layout.keeps_copies or row.get("is_exact_copy") != "1":
                yield _sample_of_row(folder, row, layout)


def _sample_of_row(folder: Path, row: Mapping[str, str], layout: ClassLayout) -> ClassSample:
    picture = folder / row["file"]
    label = layout.labels.get(row["label"].lower())
    split = _FOLDERS.get((row.get(layout.split) or "").lower())
    if label is None or (split is None and row.get(layout.split)):
        raise TrainingDataError(
            f"{folder}/images.csv: {row['file']} has the label {row['label']!r} and the split "
            f"{row.get(layout.split)!r}; expected one of {', '.join(layout.labels)} and of {', '.join(_FOLDERS)}"
        )
    if not picture.is_file():
        raise TrainingDataError(f"{picture}: missing, but images.csv names it; restore the file")
    owner = row.get(layout.owner) or picture.stem
    return ClassSample(Sample(picture.stem, owner, picture, (), split or deal_split(owner)), label)


def _read_folders(folder: Path, layout: ClassLayout) -> Iterator[ClassSample]:
    for inner in _folders(folder):
        split = _FOLDERS.get(inner.name.lower())
        for named in _folders(inner) if split else [inner]:
            label = layout.labels.get(named.name.lower())
            if label is None:
                continue
            for picture in sorted(path for path in named.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES):
                owner = _owner(picture)
                yield ClassSample(Sample(picture.stem, owner, picture, (), split or deal_split(owner)), label)


def _with_validation(samples: list[ClassSample]) -> list[ClassSample]:
    """Take a part of the training owners for validation where the data set keeps none."""
    if any(sample.split is Split.VALIDATION for sample in samples):
        return samples
    return [
        sample.moved_to(Split.VALIDATION)
        if sample.split is Split.TRAIN and deal_split(sample.picture.patient) is Split.VALIDATION
        else sample
        for sample in samples
    ]


def _owner(picture: Path) -> str:
    parts = picture.stem.split("-")
    return parts[1] if len(parts) > 2 else picture.stem


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise TrainingDataError(f"{folder}: no such folder; give the folder that holds the pictures")
    return sorted(path for path in folder.iterdir() if path.is_dir())
