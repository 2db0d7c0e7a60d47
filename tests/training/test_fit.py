"""A whole training, on pictures so small that it takes seconds."""

from __future__ import annotations

import csv
import shutil
import struct
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from weights import read_weights

from node.training.augmentation import Augmentation
from node.training.batches import AugmentedBatches, Dealing, EpochBatches, LabelledPictures
from node.training.epoch_log import best_epoch, read_log
from node.training.fit import BEST_WEIGHTS, Material, fit
from node.training.options import TrainingOptions
from node.training.schedule import Schedule

# Keras 3.15 hands its variables to h5py in a way that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RESTART, RESUME = TrainingOptions(), TrainingOptions(resume=True)
DEALING = Dealing(batch_size=2, repeats=1, seed=11)
SCHEDULE = Schedule(epochs=3, learning_rate=0.02, validation_batch=2)


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


VALIDATION = bright_squares(4, 2)


def material() -> Material:
    batches = AugmentedBatches(bright_squares(6, 1), Augmentation(black=-1.0, white=1.0), DEALING)
    return Material(batches, (VALIDATION.pictures, VALIDATION.truths))


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
    fit(small_network(), material(), SCHEDULE, output, RESTART)
    return output


def epochs_in(output: Path) -> list[str]:
    return [row["epoch"] for row in csv.DictReader((output / "epochs.csv").read_text().splitlines())]


def test_a_training_interrupted_and_resumed_ends_with_the_same_weights(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(PowerCut):
        fit(small_network(), material(), cut_after(0, SCHEDULE), tmp_path, RESTART)
    resumed = fit(small_network(), material(), SCHEDULE, tmp_path, RESUME)

    expected, found = read_weights(whole / resumed.name), read_weights(resumed)
    assert expected.keys() == found.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-6, err_msg=name)
    assert epochs_in(tmp_path) == ["0", "1", "2"]
    best = best_epoch(whole / "epochs.csv", "val_dice")
    assert best_epoch(tmp_path / "epochs.csv", "val_dice") == pytest.approx(best)


def test_the_weights_kept_are_those_of_the_best_epoch_and_hold_no_optimizer(whole: Path) -> None:
    best = best_epoch(whole / "epochs.csv", "val_dice")
    assert best is not None
    network = small_network()
    network.load_weights(whole / BEST_WEIGHTS)
    found = np.asarray(network(VALIDATION.pictures)) > 0.5
    true = VALIDATION.truths > 0.5
    dice = 2 * (found & true).sum((1, 2, 3)) / (found.sum((1, 2, 3)) + true.sum((1, 2, 3)))
    assert dice.mean() == pytest.approx(best[1], abs=1e-4)
    assert not any("optimizer" in name for name in read_weights(whole / BEST_WEIGHTS))


def test_a_new_training_forgets_an_old_one_in_the_same_folder(whole: Path, tmp_path: Path) -> None:
    output = shutil.copytree(whole, tmp_path / "again")
    fit(small_network(), material(), replace(SCHEDULE, epochs=1), output, RESTART)
    assert epochs_in(output) == ["0"]


def test_resuming_a_finished_training_leaves_it_as_it_is_and_more_epochs_begin_anew(
    whole: Path, tmp_path: Path
) -> None:
    output = shutil.copytree(whole, tmp_path / "again")
    weights = fit(small_network(), material(), SCHEDULE, output, RESUME)
    assert weights.read_bytes() == (whole / BEST_WEIGHTS).read_bytes()
    assert epochs_in(output) == ["0", "1", "2"]
    fit(small_network(), material(), replace(SCHEDULE, epochs=4), output, RESUME)
    assert epochs_in(output) == ["0", "1", "2", "3"]


def test_training_stops_when_validation_no_longer_improves(tmp_path: Path) -> None:
    standing = replace(SCHEDULE, epochs=8, learning_rate=0.0, last_learning_rate=0.0, patience=1)
    frozen = small_network()
    frozen.get_layer("norm").momentum = 1.0
    fit(frozen, material(), standing, tmp_path, RESTART)
    assert epochs_in(tmp_path) == ["0", "1"]


def test_the_learning_rate_warms_up_and_then_falls_to_its_last_value() -> None:
    schedule = Schedule(epochs=40, learning_rate=1.0, last_learning_rate=0.1, warm_up=3)
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


AVERAGED = replace(SCHEDULE, averaging=0.9, weight_decay=0.01)


def test_a_resumed_training_goes_on_with_the_mean_of_its_weights(tmp_path: Path) -> None:
    whole = fit(small_network(), material(), AVERAGED, tmp_path / "whole", RESTART)
    with pytest.raises(PowerCut):
        fit(small_network(), material(), cut_after(1, AVERAGED), tmp_path / "cut", RESTART)
    resumed = fit(small_network(), material(), AVERAGED, tmp_path / "cut", RESUME)
    expected, found = read_weights(whole), read_weights(resumed)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-6, err_msg=name)


def test_the_mean_of_the_weights_is_what_is_validated_and_kept(tmp_path: Path) -> None:
    kept = fit(small_network(), material(), AVERAGED, tmp_path, RESTART)
    network = small_network()
    network.load_weights(kept)
    network.compile(loss=AVERAGED.loss)
    rows = read_log(tmp_path / "epochs.csv")
    best = max(rows, key=lambda row: row["val_dice"])
    loss = network.evaluate(VALIDATION.pictures, VALIDATION.truths, verbose=0)
    assert loss == pytest.approx(best["val_loss"], abs=1e-5)


class Numbers(EpochBatches):
    """Ten numbers for each of three batches, whose doubles are to be learnt, with no seed to keep."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, batch: int) -> tuple[np.ndarray, np.ndarray]:
        numbers = np.random.default_rng([self.epoch, batch]).normal(size=(10, 1)).astype(np.float32)
        return numbers, 2 * numbers


def test_a_network_for_numbers_is_judged_by_its_lowest_error(tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    schedule = Schedule(
        epochs=4, learning_rate=0.3, loss="mse", metrics=("mae",), watched="val_mae", higher_is_better=False
    )
    fit(network, Material(Numbers(), Numbers()), schedule, tmp_path, RESTART)
    errors = [row["val_mae"] for row in read_log(tmp_path / "epochs.csv")]
    best = best_epoch(tmp_path / "epochs.csv", "val_mae", higher_is_better=False)
    assert best == (errors.index(min(errors)), min(errors))
    assert (tmp_path / BEST_WEIGHTS).is_file()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_batches_drawn_in_other_processes_train_the_same_weights(tmp_path: Path) -> None:
    alone = fit(small_network(), material(), AVERAGED, tmp_path / "alone", RESTART)
    with_help = fit(small_network(), material(), AVERAGED, tmp_path / "helped", replace(RESTART, processes=2))
    for name, weights in read_weights(alone).items():
        np.testing.assert_array_equal(read_weights(with_help)[name], weights, name)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_batch_that_cannot_be_drawn_in_another_process_ends_the_training(tmp_path: Path) -> None:
    class Spoiled(EpochBatches):
        def __len__(self) -> int:
            return 3

        def __getitem__(self, batch: int) -> tuple[np.ndarray, np.ndarray]:
            if self.epoch == 1:
                raise OSError("the file is gone")
            return VALIDATION.pictures, VALIDATION.truths

    spoiled = Material(Spoiled(), (VALIDATION.pictures, VALIDATION.truths))
    with pytest.raises(Exception, match="the process that draws it died"):
        fit(small_network(), spoiled, SCHEDULE, tmp_path, replace(RESTART, processes=2))
