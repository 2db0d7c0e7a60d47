"""A network trained on whole heads, as DLTK's examples do."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import SimpleITK

from node.imaging.volume import Volume
from node.training.epoch_log import read_log
from node.training.options import TrainingOptions
from node.training.samples import Split
from node.training.subjects import Subject
from node.training.whole_heads import HeadTask, mirror_and_shift, train_on_heads
from node.vocabulary import Pixels

# Keras 3.15 hands its variables to h5py in a way that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def person(folder: Path, name: str, split: Split, age: float) -> Subject:
    """Return a subject whose head is as bright as old."""
    volume = folder / f"{name}.nii.gz"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.full((4, 4, 4), age, np.float32)), volume)
    return Subject(name, split, volume, age=age)


def brightness(volume: Volume) -> Pixels:
    return np.asarray(volume.voxels[np.newaxis, ..., np.newaxis] / 100.0, np.float32)


def years(subject: Subject) -> tuple[float]:
    return (subject.age or 0.0,)


def build() -> keras.Model:
    head = keras.Input((4, 4, 4, 1))
    mean = keras.layers.GlobalAveragePooling3D()(head)
    return keras.Model(head, keras.layers.Dense(1, kernel_initializer="zeros", dtype="float32")(mean))


def test_it_learns_from_subjects_for_training_and_is_judged_on_those_for_validation(tmp_path: Path) -> None:
    subjects = [person(tmp_path, f"a{number}", Split.TRAIN, 40.0) for number in range(8)]
    subjects += [person(tmp_path, "b", Split.VALIDATION, 60.0), person(tmp_path, "c", Split.TEST, 90.0)]
    task = HeadTask(brightness, years, 1, loss="mse", metric="mae", watched="val_mae")
    weights = train_on_heads(build, task, subjects, tmp_path / "run", TrainingOptions(epochs=1))
    assert weights.is_file()
    (epoch,) = read_log(tmp_path / "run" / "epochs.csv")
    assert epoch["mae"] == pytest.approx(40.0, abs=0.1)
    assert epoch["val_mae"] == pytest.approx(60.0, abs=0.1)


def test_a_head_is_mirrored_from_side_to_side_only_and_moved_at_most_so_far() -> None:
    head = np.zeros((5, 7, 9, 1), np.float32)
    head[1, 1, 1] = 1.0
    rng = np.random.default_rng(1)
    places = [np.argwhere(mirror_and_shift(head, 1, rng))[0] for _ in range(300)]
    slices, rows, columns, _ = (set(axis) for axis in zip(*places, strict=True))
    assert (slices, rows, columns) == ({0, 1, 2}, {0, 1, 2}, {0, 1, 2, 6, 7, 8})
