"""Which pictures the gate learns from, is chosen by and is tested on; no patient is in two splits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from node.imaging.volume import Unit
from node.imaging.volume_files import read_volume_file
from node.training.samples import Split

from .drawing import draw_pattern
from .sources import (
    NamedPicture,
    project,
    read_archived_instances,
    read_archived_volume,
    read_grey,
    read_radiographs,
    read_table,
    section_of,
    slices_of,
)

SERIES = {
    Split.TRAIN: (
        "dicom_series/ct_chest_philips_lidc_138of275.tar.xz",
        "dicom_series/mr_t1_siemens_skyra_3y_192.tar.xz",
        "mr_dicom/mr_pd_axial_ge_signa_5mm_20.tar.xz",
    ),
    Split.VALIDATION: (
        "ct_chest_lungdx/ct_A0001_philips_5mm_B.tar.xz",
        "mr_dicom/mr_enhanced_t1_siemens_xa30_96frames.tar.xz",
    ),
}
MR_FILES = ("patient01_study2_T2W", "patient20_study2_T1W", "patient20_study2_FLAIR")
PATTERNS = {Split.TRAIN: range(60), Split.VALIDATION: range(1000, 1020), Split.TEST: range(2000, 2020)}
LEG = "RG3"  # the one radiograph of dicom_misc to learn from; the others are for testing
BRAIN_SUBJECTS, TUMOUR_STEP = 6, 12
FROM_THE_FRONT, FROM_THE_SIDE = 1, 2  # axes of an axial CT


def read_uprights(data: Path, split: Split) -> list[NamedPicture]:
    """Return the upright frontal chests of a split; those to learn and choose by are under open licences."""
    folder = data / "cxr_v7"
    rows = [row for row in read_table(folder / "images.csv") if row["split"] == split.value]
    found = [
        NamedPicture(Path(row["image"]).stem, f"v7-{row['patient']}", "cxr_v7", read_grey(folder / row["image"]))
        for row in rows
        if split is Split.TEST or row["licence_class"] == "open"
    ]
    if split is Split.TRAIN:
        shadow = project(read_archived_volume(data / SERIES[Split.TRAIN][0]), FROM_THE_FRONT)
        found.append(NamedPicture("projected chest", "lidc", "projected", shadow))
    return found + (read_nih(data, "upright") if split is Split.TEST else [])


def read_nih(data: Path, orientation: str) -> list[NamedPicture]:
    """Return the pictures of cxr_nih14 that are "upright" or "rotated90"; they are for testing only."""
    folder = data / "cxr_nih14"
    return [
        NamedPicture(row["file"], f"nih-{row['patient']}", "cxr_nih14", read_grey(folder / row["file"]))
        for row in read_table(folder / "images.csv")
        if row["orientation"] == orientation
    ]


def read_others(data: Path, split: Split) -> list[NamedPicture]:
    """Return the pictures of a split that show no frontal chest; `group` says what they show."""
    if split is Split.TEST:
        found = [*_radiographs(data, is_leg=False), *_brains(data), *_tumours(data), *_retinas(data), *_sections(data)]
    else:
        found = list(_series(data, split))
    if split is Split.TRAIN:
        found += [*_radiographs(data, is_leg=True), *_thick_slices(data), *_learnt_retinas(data)]
    names = {seed: f"pattern {seed}" for seed in PATTERNS[split]}
    return found + [NamedPicture(name, name, "drawn", draw_pattern(seed)) for seed, name in names.items()]


def _series(data: Path, split: Split) -> Iterator[NamedPicture]:
    for archive in SERIES[split]:
        volume, name = read_archived_volume(data / archive), Path(archive).name.split(".")[0]
        for number, image in enumerate(slices_of(volume)):
            yield NamedPicture(f"{name} {number}", name, f"{name[:2].upper()} slices", image)
        if volume.unit is Unit.HOUNSFIELD:
            yield NamedPicture(f"{name} lateral", name, "lateral, projected", project(volume, FROM_THE_SIDE))


def _thick_slices(data: Path) -> Iterator[NamedPicture]:
    for name in MR_FILES:
        volume = read_volume_file(data / "brain_mr_ms_thick" / f"{name}.nii.gz", Unit.STORED)
        for number, image in enumerate(slices_of(volume)):
            yield NamedPicture(f"{name} {number}", name, "MR slices", image)


def _learnt_retinas(data: Path) -> Iterator[NamedPicture]:
    folder = data / "oct_kermany"
    for row in read_table(folder / "images.csv"):
        if row["split"] == Split.TRAIN.value:
            yield NamedPicture(row["file"], row["patient"], "OCT", read_grey(folder / row["file"]))


def _radiographs(data: Path, is_leg: bool) -> Iterator[NamedPicture]:
    """Yield what the node reads as radiographs in dicom_misc; one picture in two compressions is one patient."""
    for path, image in read_radiographs(data / "dicom_misc"):
        modality, _, picture = path.stem.split("_")[:3]
        if (picture == LEG) is is_leg:
            yield NamedPicture(path.name, picture, f"{modality} of dicom_misc", image)


def _brains(data: Path) -> Iterator[NamedPicture]:
    folder = data / "brain_t1_ixi"
    subjects = [row["subject"] for row in read_table(folder / "subjects.csv") if row["split"] == Split.TEST.value]
    for subject in subjects[:BRAIN_SUBJECTS]:
        volume = read_volume_file(folder / "t1" / f"{subject}_t1_2mm.nii.gz", Unit.STORED)
        for number, image in enumerate(slices_of(volume)):
            yield NamedPicture(f"{subject} {number}", subject, "brain MR", image)


def _tumours(data: Path) -> Iterator[NamedPicture]:
    folder = data / "brain_tumor_mri"
    rows = [row for row in read_table(folder / "images.csv") if row["clean_split"] == Split.TEST.value]
    for row in rows[::TUMOUR_STEP]:
        yield NamedPicture(row["file"], row["file"], "brain tumour MR", read_grey(folder / row["file"]))


def _retinas(data: Path) -> Iterator[NamedPicture]:
    folder = data / "oct_kermany_more"
    for row in read_table(folder / "images.csv"):
        yield NamedPicture(row["file"], row["patient"], "OCT", read_grey(folder / row["file"]))


def _sections(data: Path) -> Iterator[NamedPicture]:
    for number, instance in enumerate(read_archived_instances(data / "ct_slices_covid_nysbu" / "slices.tar.xz")):
        patient = str(instance.get("SeriesInstanceUID", number))
        yield NamedPicture(f"CT slice {number}", patient, "CT slices", section_of(instance))
