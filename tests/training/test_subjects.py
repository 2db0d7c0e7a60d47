"""People and their volumes, as data sets are laid out."""

from __future__ import annotations

from pathlib import Path

import pytest
from volumes import ct_study, mr_study

from node.errors import TrainingDataError
from node.training.dicom_folders import find_series, read_series
from node.training.readers import deal_split
from node.training.samples import Split
from node.training.subjects import choose_subjects, read_subjects


def test_every_subject_of_the_real_set_has_its_files_and_nobody_is_in_two_splits(shared: Path) -> None:
    folder = shared / "data" / "brain_t1_ixi"
    subjects = read_subjects(folder)
    assert len(subjects) == len({subject.name for subject in subjects}) == len(list((folder / "t1").iterdir()))
    assert {subject.sex for subject in subjects} == {"M", "F"}
    assert all(subject.labels is not None and subject.volume.is_file() for subject in subjects)
    assert all(subject.age is not None and 18 < subject.age < 90 for subject in subjects)
    assert sum(len(choose_subjects(subjects, split)) for split in Split) == len(subjects)


def test_the_set_as_people_download_it_is_read_with_age_and_sex(tmp_path: Path) -> None:
    (tmp_path / "IXI-T1").mkdir()
    for name in ("IXI012-HH-1211", "IXI013-HH-1212", "IXI035-IOP-0873"):
        (tmp_path / "IXI-T1" / f"{name}-T1.nii.gz").write_bytes(b"")
    table = 'IXI_ID,"SEX_ID (1=m, 2=f)",HEIGHT,AGE\n12,1,175,38.78\n13,2,0,\n13,2,0,46.71\n'
    (tmp_path / "IXI.csv").write_text(table)
    subjects = read_subjects(tmp_path)
    assert [(subject.name, subject.sex, subject.age) for subject in subjects] == [
        ("IXI012-HH-1211", "M", 38.78),
        ("IXI013-HH-1212", "F", None),
        ("IXI035-IOP-0873", "", None),
    ]
    assert [subject.split for subject in subjects] == [deal_split(subject.name) for subject in subjects]


def test_a_table_without_splits_deals_them_out(tmp_path: Path) -> None:
    (tmp_path / "t1").mkdir()
    (tmp_path / "t1" / "a_t1.nii.gz").write_bytes(b"")
    (tmp_path / "subjects.csv").write_text("subject,age\na,30\n")
    (subject,) = read_subjects(tmp_path)
    assert (subject.split, subject.labels, subject.sex) == (deal_split("a"), None, "")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("subject,split\nb,train\n", "has no volume"),
        ("subject,split\na,trian\n", "expected one of train, val, test"),
        (None, "has neither subjects.csv nor volumes"),
    ],
)
def test_a_folder_that_is_not_complete_is_refused(tmp_path: Path, table: str | None, message: str) -> None:
    (tmp_path / "t1").mkdir()
    (tmp_path / "t1" / "a.nii.gz").write_bytes(b"")
    if table:
        (tmp_path / "subjects.csv").write_text(table)
    with pytest.raises(TrainingDataError, match=message):
        read_subjects(tmp_path)


def test_volumes_of_the_set_without_their_table_are_refused(tmp_path: Path) -> None:
    (tmp_path / "IXI012-HH-1211-T1.nii.gz").write_bytes(b"")
    with pytest.raises(TrainingDataError, match=r"export IXI\.xls"):
        read_subjects(tmp_path)


def test_series_are_found_among_other_files_and_read_as_the_node_reads_them(tmp_path: Path) -> None:
    for modality, instances in (("MR", mr_study(slices=5)), ("CT", ct_study(slices=4))):
        (tmp_path / modality).mkdir()
        for number, instance in enumerate(instances):
            instance.save_as(tmp_path / modality / f"{number}.dcm", enforce_file_format=True)
    (tmp_path / "MR" / "notes.txt").write_text("no DICOM")
    assert [(one.modality, len(one.files)) for one in find_series(tmp_path)] == [("CT", 4), ("MR", 5)]
    (series,) = find_series(tmp_path, modality="MR")
    assert series.folder == tmp_path / "MR"
    assert read_series(series).grid.shape[0] == 5
