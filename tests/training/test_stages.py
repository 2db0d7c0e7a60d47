"""A training in stages goes on in the stage it was in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from node.training.batches import EpochBatches
from node.training.fit import Material
from node.training.options import TrainingOptions
from node.training.schedule import Schedule
from node.training.stages import Prepared, fit_stages

# Keras 3.15 hands its variables to h5py in a way that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

STANDING = Schedule(
    epochs=1, learning_rate=1e-9, loss="mse", metrics=("mae",), watched="val_mae", higher_is_better=False
)


class Numbers(EpochBatches):
    """Ones that are to stay ones."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, batch: int) -> tuple[np.ndarray, np.ndarray]:
        return np.ones((2, 1), np.float32), np.ones((2, 1), np.float32)


class Cut(Exception):
    """What ends a training between two stages."""


def doubler(weight: float) -> keras.Model:
    number = keras.Input((1,))
    network = keras.Model(number, keras.layers.Dense(1, use_bias=False, name="times")(number))
    network.set_weights([np.full((1, 1), weight, np.float32)])
    return network


def weight_of(file: Path) -> float:
    network = doubler(0.0)
    network.load_weights(file)
    return float(network.get_weights()[0][0, 0])


def test_each_stage_starts_from_the_weights_of_the_one_before(tmp_path: Path) -> None:
    def prepare(_number: int, stage: float) -> Prepared:
        return doubler(stage), Material(Numbers(), Numbers()), STANDING

    best = fit_stages((3.0, 5.0, 7.0), prepare, tmp_path, TrainingOptions())
    assert best.parent == tmp_path
    assert weight_of(best) == pytest.approx(3.0, abs=1e-3)
    assert (tmp_path / "stage1" / best.name).is_file()
    assert (tmp_path / "stage2" / best.name).is_file()


def test_a_stage_that_has_ended_is_not_prepared_again(tmp_path: Path) -> None:
    prepared: list[int] = []

    def prepare(number: int, stage: float) -> Prepared:
        prepared.append(number)
        if len(prepared) == 3:
            raise Cut
        return doubler(stage), Material(Numbers(), Numbers()), STANDING

    stages = (3.0, 5.0, 7.0)
    with pytest.raises(Cut):
        fit_stages(stages, prepare, tmp_path, TrainingOptions())
    best = fit_stages(stages, prepare, tmp_path, replace(TrainingOptions(), resume=True))
    assert prepared == [0, 1, 2, 1, 2]
    assert weight_of(best) == pytest.approx(3.0, abs=1e-3)
