"""A whole training, on pictures so small that it takes seconds."""

from __future__ import annotations

import csv
import shutil
import struct
from dataclasses import replace
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from node.training.augmentation import Augmentation
from node.training.batches import Dealing, LabelledPictures
from node.training.epoch_log import best_epoch
from node.training.fit import BEST_WEIGHTS, Pictures, Schedule, fit

# Keras 3.15 hands its variables to h5py in a way that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SCHEDULE = Schedule(epochs=3, dealing=Dealing(batch_size=2, repeats=1, seed=11), learning_rate=0.02)


def small_network() -> keras.Model:
    """Return a network with weights, dropout and batch statistics, all of which a resumption must restore."""
    keras.utils.set_random_seed(11)
    picture = keras.Input((16, 16, 1), name="picture")
    x = keras.layers.Conv2D(4, 3, padding="same", name="conv")(picture)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.Dropout(0.3, name="dropout")(x)
    return keras.Model(picture, keras.layers.Conv2D(1, 1, activation="sigmoid", name="mark")(x))


def bright_squares(count: int, seed: int) -> LabelledPictures:
    """Return noisy pictures in which the structure is the bright half."""
    rng = np.random.default_rng(seed)
    truths = np.zeros((count, 16, 16, 1), np.float32)
    truths[:, :, :8] = 1.0
    noise = rng.normal(0, 0.2, truths.shape).astype(np.float32)
    return LabelledPictures(np.clip(truths * 1.2 - 0.6 + noise, -1, 1), truths)


PICTURES = Pictures(bright_squares(6, 1), bright_squares(4, 2), Augmentation(black=-1.0, white=1.0))


def read_weights(path: Path) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}

    def keep(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset):
            found[name] = np.asarray(node)

    with h5py.File(path) as opened:
        opened.visititems(keep)
    return found


class PowerCut(Exception):
    """What ends a training without warning."""


def cut_after(epoch: int, schedule: Schedule) -> Schedule:
    """Return the schedule on a machine that loses its power when a later epoch begins."""

    class Doomed(Schedule):
        def learning_rate_at(self, number: int) -> float:
            if number > epoch:
                raise PowerCut(number)
            return super().learning_rate_at(number)

    return Doomed(**vars(schedule))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the output folder of a training that nothing interrupted."""
    output = tmp_path_factory.mktemp("whole")
    fit(small_network(), PICTURES, SCHEDULE, output, resume=False)
    return output


def epochs_in(output: Path) -> list[str]:
    return [row["epoch"] for row in csv.DictReader((output / "epochs.csv").read_text().splitlines())]


def test_a_training_interrupted_and_resumed_ends_with_the_same_weights(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(PowerCut):
        fit(small_network(), PICTURES, cut_after(0, SCHEDULE), tmp_path, resume=False)
    resumed = fit(small_network(), PICTURES, SCHEDULE, tmp_path, resume=True)

    expected, found = read_weights(whole / resumed.name), read_weights(resumed)
    assert expected.keys() == found.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-6, err_msg=name)
    assert epochs_in(tmp_path) == ["0", "1", "2"]
    assert best_epoch(tmp_path / "epochs.csv") == pytest.approx(best_epoch(whole / "epochs.csv"))


def test_the_weights_kept_are_those_of_the_best_epoch_and_hold_no_optimizer(whole: Path) -> None:
    best = best_epoch(whole / "epochs.csv")
    assert best is not None
    network = small_network()
    network.load_weights(whole / BEST_WEIGHTS)
    found = np.asarray(network(PICTURES.validation.pictures)) > 0.5
    true = PICTURES.validation.truths > 0.5
    dice = 2 * (found & true).sum((1, 2, 3)) / (found.sum((1, 2, 3)) + true.sum((1, 2, 3)))
    assert dice.mean() == pytest.approx(best[1], abs=1e-4)
    assert not any("optimizer" in name for name in read_weights(whole / BEST_WEIGHTS))


def test_a_new_training_forgets_an_old_one_in_the_same_folder(whole: Path, tmp_path: Path) -> None:
    output = shutil.copytree(whole, tmp_path / "again")
    fit(small_network(), PICTURES, replace(SCHEDULE, epochs=1), output, resume=False)
    assert epochs_in(output) == ["0"]


def test_training_stops_when_validation_no_longer_improves(tmp_path: Path) -> None:
    standing = replace(SCHEDULE, epochs=8, learning_rate=0.0, last_learning_rate=0.0, patience=1)
    frozen = small_network()
    frozen.get_layer("norm").momentum = 1.0
    fit(frozen, PICTURES, standing, tmp_path, resume=False)
    assert epochs_in(tmp_path) == ["0", "1"]


def test_the_learning_rate_warms_up_and_then_falls_to_its_last_value() -> None:
    schedule = Schedule(epochs=40, dealing=SCHEDULE.dealing, learning_rate=1.0, last_learning_rate=0.1, warm_up=3)
    rates = [schedule.learning_rate_at(epoch) for epoch in range(41)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[3:] == sorted(rates[3:], reverse=True)
    assert rates[40] == pytest.approx(0.1)


def test_tensorboard_finds_one_record_for_each_epoch(whole: Path) -> None:
    (file,) = (whole / "tensorboard").glob("*tfevents*")
    content, records = file.read_bytes(), []
    while content:  # TFRecord: length, checksum, record, checksum
        (length,) = struct.unpack("<Q", content[:8])
        records.append(content[12 : 12 + length])
        content = content[16 + length :]
    assert b"brain.Event:2" in records[0]
    assert len(records) == 1 + SCHEDULE.epochs
    assert all(b"val_dice" in record for record in records[1:])
