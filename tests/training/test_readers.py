"""The three layouts a data folder may have, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from node.errors import TrainingDataError
from node.training.readers import choose, deal_split, read_samples
from node.training.samples import BACKGROUND, IGNORED, STRUCTURE, Split, read_picture, read_truth

HEAD = "image,mask,split,patient,view,licence_class\n"


def write_grey(path: Path, grey: list[list[int]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(grey, np.uint8)).save(path)


def write_table(folder: Path, *rows: str) -> Path:
    for row in rows:
        picture, mask = row.split(",")[:2]
        write_grey(folder / picture, [[0, 51], [102, 255]])
        write_grey(folder / mask, [[0, 127], [255, 255]])
    (folder / "images.csv").write_text(HEAD + "\n".join(rows) + "\n")
    return folder


def test_a_table_gives_split_patient_view_and_licence(tmp_path: Path) -> None:
    write_table(tmp_path, "a.png,m/a.png,train,7,AP Supine,open", "b.png,m/b.png,test,8,PA,nc")
    first, second = read_samples(tmp_path)
    assert (first.name, first.patient, first.split, first.view, first.group) == ("a", "7", Split.TRAIN, "AP", "open")
    assert (second.split, second.view, second.group) == (Split.TEST, "PA", "nc")


def test_pictures_under_another_licence_are_left_out_of_a_choice(tmp_path: Path) -> None:
    write_table(tmp_path, "a.png,m/a.png,train,7,PA,open", "b.png,m/b.png,train,8,PA,nc")
    samples = read_samples(tmp_path)
    assert [sample.name for sample in choose(samples, Split.TRAIN, frozenset({"open"}))] == ["a"]
    assert [sample.name for sample in choose(samples, Split.TRAIN)] == ["a", "b"]


def test_the_grey_127_is_neither_lung_nor_background(tmp_path: Path) -> None:
    write_table(tmp_path, "a.png,m/a.png,train,7,PA,open")
    (sample,) = read_samples(tmp_path)
    np.testing.assert_array_equal(read_truth(sample), [[BACKGROUND, IGNORED], [STRUCTURE, STRUCTURE]])
    np.testing.assert_allclose(read_picture(sample).pixels, [[0.0, 0.2], [0.4, 1.0]], atol=1e-6)


def test_a_split_without_pictures_is_refused_before_training_starts(tmp_path: Path) -> None:
    write_table(tmp_path, "a.png,m/a.png,train,7,PA,open", "b.png,m/b.png,val,8,PA,nc")
    with pytest.raises(TrainingDataError, match=r"no picture in the split val whose licence class is .*'open'"):
        choose(read_samples(tmp_path), Split.VALIDATION, frozenset({"open"}))


def test_the_montgomery_distribution_joins_both_sides(tmp_path: Path) -> None:
    write_grey(tmp_path / "CXR_png" / "MCUCXR_0001_0.png", [[9, 9, 9]])
    write_grey(tmp_path / "ManualMask" / "leftMask" / "MCUCXR_0001_0.png", [[0, 0, 255]])
    write_grey(tmp_path / "ManualMask" / "rightMask" / "MCUCXR_0001_0.png", [[255, 0, 0]])
    (sample,) = read_samples(tmp_path)
    assert (sample.name, sample.patient) == ("MCUCXR_0001_0", "MCUCXR_0001_0")
    np.testing.assert_array_equal(read_truth(sample), [[STRUCTURE, BACKGROUND, STRUCTURE]])


def test_masks_of_one_bit_are_read_like_masks_of_eight(tmp_path: Path) -> None:
    write_grey(tmp_path / "CXR_png" / "a.png", [[9, 9]])
    for side, bits in (("leftMask", [[True, False]]), ("rightMask", [[False, False]])):
        path = tmp_path / "ManualMask" / side / "a.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(np.array(bits)).save(path)
    (sample,) = read_samples(tmp_path)
    np.testing.assert_array_equal(read_truth(sample), [[STRUCTURE, BACKGROUND]])


def test_pairs_may_lie_in_two_folders_or_side_by_side(tmp_path: Path) -> None:
    write_grey(tmp_path / "two" / "images" / "7_a.png", [[1]])
    write_grey(tmp_path / "two" / "masks" / "7_a.png", [[255]])
    write_grey(tmp_path / "one" / "7_a.png", [[1]])
    write_grey(tmp_path / "one" / "7_a_mask.png", [[255]])
    for layout in ("two", "one"):
        (sample,) = read_samples(tmp_path / layout)
        assert (sample.name, sample.patient) == ("7_a", "7")
        assert read_truth(sample) == STRUCTURE


def test_pictures_of_one_patient_are_never_in_two_splits(tmp_path: Path) -> None:
    for patient in range(30):
        for view in "ab":
            write_grey(tmp_path / "images" / f"{patient}_{view}.png", [[1]])
            write_grey(tmp_path / "masks" / f"{patient}_{view}.png", [[255]])
    splits: dict[str, set[Split]] = {}
    for sample in read_samples(tmp_path):
        splits.setdefault(sample.patient, set()).add(sample.split)
    assert all(len(split) == 1 for split in splits.values())
    assert {split for (split,) in splits.values()} == set(Split)


def test_patients_are_dealt_the_same_on_every_machine_in_the_stated_shares() -> None:
    dealt = [deal_split(f"patient {number}") for number in range(4000)]
    assert [deal_split(f"patient {number}") for number in (0, 1, 2)] == dealt[:3]
    assert dealt.count(Split.TRAIN) / 4000 == pytest.approx(0.70, abs=0.03)
    assert dealt.count(Split.TEST) / 4000 == pytest.approx(0.15, abs=0.03)


def test_a_missing_mask_is_named(tmp_path: Path) -> None:
    write_grey(tmp_path / "images" / "a.png", [[1]])
    with pytest.raises(TrainingDataError, match=r"masks/a\.png: missing, but a needs it"):
        read_samples(tmp_path)


def test_a_folder_of_no_known_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingDataError, match="no labelled picture found"):
        read_samples(tmp_path)


def test_a_table_without_licences_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images.csv").write_text("image,mask,split,patient,view\n")
    with pytest.raises(TrainingDataError, match="lacks the columns licence_class"):
        read_samples(tmp_path)


def test_a_split_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path, "a.png,m/a.png,holdout,7,PA,open")
    with pytest.raises(TrainingDataError, match=r"a\.png has the split 'holdout'"):
        read_samples(tmp_path)


def test_a_smoothed_mask_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path, "a.png,m/a.png,train,7,PA,open")
    write_grey(tmp_path / "m" / "a.png", [[0, 64], [128, 255]])
    with pytest.raises(TrainingDataError, match="expected 0, 127"):
        read_truth(read_samples(tmp_path)[0])


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path, "a.png,m/a.png,train,7,PA,open")
    write_grey(tmp_path / "m" / "a.png", [[0, 255, 0]])
    with pytest.raises(TrainingDataError, match="1 rows and 3 columns, its picture 2 and 2"):
        read_truth(read_samples(tmp_path)[0])


def test_a_picture_of_twelve_bits_keeps_its_greys(tmp_path: Path) -> None:
    write_table(tmp_path, "a.png,m/a.png,train,7,PA,open")
    Image.fromarray(np.array([[0, 1024], [2048, 4096]], np.uint16)).save(tmp_path / "a.png")
    (sample,) = read_samples(tmp_path)
    np.testing.assert_allclose(read_picture(sample).pixels, [[0, 0.25], [0.5, 1.0]])


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    write_table(tmp_path, "a.png,m/a.png,train,7,PA,open")
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(TrainingDataError, match=r"a\.png: cannot be read as a picture"):
        read_picture(read_samples(tmp_path)[0])


def test_the_real_set_has_the_rows_its_readme_counts(shared: Path) -> None:
    samples = read_samples(shared / "data" / "cxr_v7")
    kept = frozenset({"open"})
    assert [len(choose(samples, split, kept)) for split in Split] == [52, 10, 9]
    assert len(choose(samples, Split.TEST)) == 26
