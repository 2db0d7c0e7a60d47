"""Finds the labelled pictures in a data folder, whichever of three layouts it has.

    table        images.csv with image, mask, split, patient, view, licence_class; paths in it are
                 relative to the folder, splits are train, val and test
    pairs        images/X.png beside masks/X.png, or X.png beside X_mask.png; the patient is the part
                 of X before the first "_", as in 0017_2.png
    Montgomery   CXR_png/X.png with ManualMask/leftMask/X.png and ManualMask/rightMask/X.png, the
                 distribution of the Montgomery County set; every picture is another patient

Where no split is given, patients are dealt out by a hash of their name: 70 % train, 15 % validation,
15 % test, always the same.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable
from pathlib import Path

from node.errors import TrainingDataError
from node.training.samples import Sample, Split

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
TRAIN_SHARE, VALIDATION_SHARE = 0.70, 0.15
_COLUMNS = ("image", "mask", "split", "patient", "view", "licence_class")


def read_samples(folder: Path) -> list[Sample]:
    """Return every labelled picture of the folder in a fixed order, with its split.

    Raises TrainingDataError when the folder has none of the three layouts or a file is missing.
    """
    if (folder / "images.csv").is_file():
        samples = _read_table(folder)
    elif (folder / "CXR_png").is_dir():
        samples = _read_montgomery(folder)
    else:
        samples = _read_pairs(folder)
    if not samples:
        raise TrainingDataError(
            f"{folder}: no labelled picture found; expected images.csv, CXR_png/ with ManualMask/, "
            "images/ with masks/, or X.png with X_mask.png"
        )
    _check_files(samples)
    return samples


def choose(samples: Iterable[Sample], split: Split, groups: frozenset[str] | None = None) -> list[Sample]:
    """Return the samples of one split, and of these groups only where groups are given.

    Raises TrainingDataError when there are none.
    """
    chosen = [sample for sample in samples if sample.split is split and (groups is None or sample.group in groups)]
    if not chosen:
        among = f" whose licence class is one of {sorted(groups)}" if groups else ""
        raise TrainingDataError(f"no picture in the split {split}{among}; add pictures of further patients")
    return chosen


def deal_split(patient: str) -> Split:
    """Return the split of a patient for whom none is given; the same on every machine and day."""
    share = int.from_bytes(hashlib.sha256(patient.encode()).digest()[:8], "big") / 2**64
    if share < TRAIN_SHARE:
        return Split.TRAIN
    return Split.VALIDATION if share < TRAIN_SHARE + VALIDATION_SHARE else Split.TEST


def _read_table(folder: Path) -> list[Sample]:
    with (folder / "images.csv").open(newline="", encoding="utf-8") as opened:
        reader = csv.DictReader(opened)
        missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise TrainingDataError(f"{folder}/images.csv: lacks the columns {', '.join(missing)}; add them")
        return [_sample_of_row(folder, row) for row in reader]


def _sample_of_row(folder: Path, row: dict[str, str]) -> Sample:
    if row["split"] not in list(Split):
        raise TrainingDataError(
            f"{folder}/images.csv: {row['image']} has the split {row['split']!r}; "
            f"expected one of {', '.join(Split)}"
        )
    return Sample(
        name=Path(row["image"]).stem,
        patient=row["patient"],
        picture=folder / row["image"],
        masks=(folder / row["mask"],),
        split=Split(row["split"]),
        view=row["view"].split(" ")[0],
        group=row["licence_class"],
    )


def _read_montgomery(folder: Path) -> list[Sample]:
    sides = (folder / "ManualMask" / "leftMask", folder / "ManualMask" / "rightMask")
    return [
        _dealt_sample(picture.stem, picture, tuple(side / picture.name for side in sides))
        for picture in _pictures(folder / "CXR_png")
    ]


def _read_pairs(folder: Path) -> list[Sample]:
    if (folder / "images").is_dir():
        return [
            _dealt_sample(_patient(picture), picture, (folder / "masks" / f"{picture.stem}.png",))
            for picture in _pictures(folder / "images")
        ]
    return [
        _dealt_sample(_patient(picture), picture, (picture.with_name(f"{picture.stem}_mask.png"),))
        for picture in _pictures(folder)
        if not picture.stem.endswith("_mask")
    ]


def _dealt_sample(patient: str, picture: Path, masks: tuple[Path, ...]) -> Sample:
    return Sample(picture.stem, patient, picture, masks, deal_split(patient))


def _patient(picture: Path) -> str:
    return picture.stem.split("_")[0]


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise TrainingDataError(f"{folder}: no such folder; give the folder that holds the pictures")
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)


def _check_files(samples: list[Sample]) -> None:
    for sample in samples:
        for path in (sample.picture, *sample.masks):
            if not path.is_file():
                raise TrainingDataError(
                    f"{path}: missing, but {sample.name} needs it; complete the folder or remove the picture"
                )
