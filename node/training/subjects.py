"""Finds the volumes of a data folder whose people are told in a table, whichever of two layouts it has.

    table   subjects.csv with the columns subject and, where known, split, age and sex; volumes are
            t1/SUBJECT*.nii.gz, and labels of their voxels, where there are any, tissue/SUBJECT*.nii.gz
    IXI     IXI012-HH-1211-T1.nii.gz and so on, alone or in a folder, beside the table of people exported
            as CSV (columns IXI_ID, SEX_ID (1=m, 2=f), AGE), the distribution of the IXI set

Where no split is given, subjects are dealt out by a hash of their name.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from node.errors import TrainingDataError
from node.training.readers import deal_split
from node.training.samples import Split

TABLE = "subjects.csv"
SUFFIXES = (".nii", ".nii.gz")
IXI_SEX = {"1": "M", "2": "F"}


@dataclass(frozen=True)
class Subject:
    """A person with one volume; `age` in years is None and `sex` ("M", "F") empty where nobody told."""

    name: str
    split: Split
    volume: Path
    labels: Path | None = None
    age: float | None = None
    sex: str = ""


def read_subjects(folder: Path) -> list[Subject]:
    """Return every subject of the folder in a fixed order.

    Raises TrainingDataError when the folder has neither layout, or a volume is missing.
    """
    if (folder / TABLE).is_file():
        return [_subject_of_row(folder, row) for row in _rows(folder / TABLE)]
    volumes = sorted(path for path in folder.rglob("IXI*-T1.nii*") if path.name.endswith(SUFFIXES))
    if not volumes:
        raise TrainingDataError(f"{folder}: has neither {TABLE} nor volumes IXI*-T1.nii.gz; add one of them")
    people = _ixi_people(folder)
    return [_ixi_subject(volume, people) for volume in volumes]


def choose_subjects(subjects: Iterable[Subject], split: Split) -> list[Subject]:
    """Return the subjects of one split; raises TrainingDataError when there are none."""
    chosen = [subject for subject in subjects if subject.split is split]
    if not chosen:
        raise TrainingDataError(f"no subject in the split {split}; add volumes of further people")
    return chosen


def _subject_of_row(folder: Path, row: Mapping[str, str]) -> Subject:
    name = row.get("subject") or ""
    volume = _file_of(folder / "t1", name)
    if not name or volume is None:
        raise TrainingDataError(f"{folder / TABLE}: subject {name!r} has no volume in t1/; restore the file")
    split = row.get("split") or ""
    if split and split not in list(Split):
        raise TrainingDataError(
            f"{folder / TABLE}: subject {name} has the split {split!r}; expected one of {', '.join(Split)}"
        )
    return Subject(
        name=name,
        split=Split(split) if split else deal_split(name),
        volume=volume,
        labels=_file_of(folder / "tissue", name),
        age=_number(row.get("age") or ""),
        sex=row.get("sex") or "",
    )


def _ixi_people(folder: Path) -> dict[int, Mapping[str, str]]:
    """Return the rows of the first CSV table with IXI_ID by that number; a person listed twice once."""
    for table in sorted(folder.glob("*.csv")):
        rows = _rows(table)
        if rows and "IXI_ID" in rows[0]:
            return {int(float(row["IXI_ID"])): row for row in reversed(rows) if row["IXI_ID"].strip()}
    raise TrainingDataError(f"{folder}: has volumes of IXI but no CSV table with IXI_ID; export IXI.xls as CSV")


def _ixi_subject(volume: Path, people: Mapping[int, Mapping[str, str]]) -> Subject:
    name = volume.name.split("-T1.nii")[0]
    row = people.get(int(name[3:6]), {})
    sex = next((value for key, value in row.items() if key.startswith("SEX_ID")), "")
    return Subject(
        name=name,
        split=deal_split(name),
        volume=volume,
        age=_number(row.get("AGE", "")),
        sex=IXI_SEX.get(sex.strip().removesuffix(".0"), ""),
    )


def _file_of(folder: Path, name: str) -> Path | None:
    """Return the volume file whose name begins with the subject's."""
    found = sorted(path for path in folder.glob(f"{name}*") if path.name.endswith(SUFFIXES))
    return found[0] if found else None


def _rows(table: Path) -> list[dict[str, str]]:
    with table.open(newline="", encoding="utf-8-sig") as opened:
        return list(csv.DictReader(opened))


def _number(text: str) -> float | None:
    """Return the number, or None where the cell is empty or says that nothing is known."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if value > 0 else None
