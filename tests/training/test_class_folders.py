"""Pictures of classes are found in the layouts that people download."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from node.errors import TrainingDataError
from node.training.class_folders import ClassLayout, choose_class_samples, read_class_samples
from node.training.samples import Split

LAYOUT = ClassLayout(labels={"cnv": "cnv", "normal": "normal", "healthy": "normal"}, owner="group")


def put(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(path)


def test_folders_of_splits_and_classes_as_kermany_has_them(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        put(tmp_path / split / "CNV" / f"CNV-{split}-1.jpeg")
        put(tmp_path / split / "NORMAL" / f"NORMAL-{split}-2.jpeg")
    found = read_class_samples(tmp_path, LAYOUT)
    assert {(sample.split, sample.label, sample.picture.patient) for sample in found} == {
        (split, label, split.value) for split in Split for label in ("cnv", "normal")
    }


def test_training_and_testing_as_on_kaggle_leave_a_part_of_training_for_validation(tmp_path: Path) -> None:
    for number in range(60):
        put(tmp_path / "Training" / "healthy" / f"Tr_{number}.jpg")
    put(tmp_path / "Testing" / "cnv" / "Te_1.jpg")
    found = read_class_samples(tmp_path, LAYOUT)
    assert [sample.label for sample in choose_class_samples(found, Split.TEST)] == ["cnv"]
    assert 2 <= len(choose_class_samples(found, Split.VALIDATION)) <= 20


def test_folders_of_classes_alone_are_dealt_out_by_patient(tmp_path: Path) -> None:
    for patient in range(40):
        for number in range(2):
            put(tmp_path / "CNV" / f"CNV-{patient}-{number}.jpeg")
    splits: dict[str, set[Split]] = {}
    for sample in read_class_samples(tmp_path, LAYOUT):
        splits.setdefault(sample.picture.patient, set()).add(sample.split)
    assert len(splits) == 40
    assert all(len(found) == 1 for found in splits.values())
    assert set.union(*splits.values()) == set(Split)


def table(folder: Path, *rows: str) -> Path:
    head = "file,label,split,group,is_exact_copy"
    (folder / "images.csv").write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return folder


def test_a_table_names_splits_and_owners_and_copies_are_left_out(tmp_path: Path) -> None:
    put(tmp_path / "a.jpg")
    table(tmp_path, "a.jpg,CNV,val,g1,0", "b.jpg,CNV,train,g1,1")
    (found,) = read_class_samples(tmp_path, LAYOUT)
    assert (found.split, found.picture.patient, found.label) == (Split.VALIDATION, "g1", "cnv")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a.jpg,cat,train,g,0", "label 'cat'"),
        ("a.jpg,CNV,holdout,g,0", "split 'holdout'"),
        ("gone.jpg,CNV,train,g,0", "missing"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_by_name(tmp_path: Path, row: str, reason: str) -> None:
    put(tmp_path / "a.jpg")
    with pytest.raises(TrainingDataError, match=reason):
        read_class_samples(table(tmp_path, row), LAYOUT)


def test_a_folder_without_any_class_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(TrainingDataError, match="cnv"):
        read_class_samples(tmp_path, LAYOUT)


def test_a_split_without_pictures_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "a.jpg")
    found = read_class_samples(table(tmp_path, "a.jpg,CNV,val,g1,0"), LAYOUT)
    with pytest.raises(TrainingDataError, match="split test"):
        choose_class_samples(found, Split.TEST)
