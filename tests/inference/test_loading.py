"""Files of a model folder, loaded by path."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.errors import ModelCardError
from node.inference.loading import load_part


def write_folder(folder: Path, answer: int) -> Path:
    folder.mkdir(parents=True)
    (folder / "numbers.py").write_text(f"ANSWER = {answer}\n")
    (folder / "preprocess.py").write_text("from .numbers import ANSWER\n\ndef prepare():\n    return ANSWER\n")
    return folder


def test_a_part_may_import_from_the_file_beside_it(tmp_path: Path) -> None:
    assert load_part(write_folder(tmp_path / "m", 42), "preprocess").prepare() == 42


def test_two_folders_of_one_name_do_not_meet(tmp_path: Path) -> None:
    first = write_folder(tmp_path / "a" / "m", 1)
    second = write_folder(tmp_path / "b" / "m", 2)
    assert [load_part(folder, "preprocess").prepare() for folder in (first, second)] == [1, 2]


def test_a_part_is_loaded_once(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m", 1)
    assert load_part(folder, "preprocess") is load_part(folder, "preprocess")


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelCardError, match=r"m: no architecture\.py in"):
        load_part(write_folder(tmp_path / "m", 1), "architecture")


def test_a_part_that_fails_to_load_fails_again_the_next_time(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m", 1)
    (folder / "train.py").write_text("from .absent import nothing\n")
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="absent"):
            load_part(folder, "train")
