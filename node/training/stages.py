"""Trains one network in stages, each from the best weights of the one before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import keras

from node.training.epoch_log import LOG
from node.training.fit import BEST_WEIGHTS, Material, fit
from node.training.options import TrainingOptions
from node.training.schedule import Schedule

_Stage = TypeVar("_Stage")
# The network, what it learns from and the schedule of a stage.
Prepared = tuple[keras.Model, Material, Schedule]


def fit_stages(
    stages: Sequence[_Stage], prepare: Callable[[int, _Stage], Prepared], output: Path, options: TrainingOptions
) -> Path:
    """Fit what `prepare` makes of each stage, counted from 0, and return the best weights of the last.

    The last stage is trained in `output`, those before in its folders stage1, stage2 and so on. A resumed
    training goes on in the stage that it was in.
    """
    folders = [output / f"stage{number}" for number in range(1, len(stages))] + [output]
    begun = [options.resume and (folder / LOG).is_file() for folder in folders]
    for number, (stage, folder) in enumerate(zip(stages, folders, strict=True)):
        if any(begun[number + 1 :]):
            continue
        network, material, schedule = prepare(number, stage)
        if number:
            network.load_weights(folders[number - 1] / BEST_WEIGHTS)
        fit(network, material, schedule, folder, options)
    return output / BEST_WEIGHTS
