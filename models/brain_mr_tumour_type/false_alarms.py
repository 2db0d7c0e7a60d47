"""How often healthy heads in T1 are called a tumour: the test of the shortcut that the pictures offer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from node.imaging.volume import Unit
from node.imaging.volume_files import read_volume_file
from node.training.samples import Split
from node.vocabulary import Pixels

from .healthy import healthy_files, planes_of
from .preprocess import NO_TUMOUR, interpret, prepare


@dataclass(frozen=True)
class FalseAlarms:
    """How many volumes there are, series cut from them, and slices; and how many of the latter two were alarms."""

    volumes: int
    series: int
    tumours: int
    slices: int
    slice_tumours: int


def count_false_alarms(predict: Callable[[Pixels], Pixels], folder: Path, split: Split) -> FalseAlarms:
    """Judge the healthy volumes of a split, each cut across its three axes."""
    files = healthy_files(folder, split)
    alarms: list[bool] = []
    of_slices: list[bool] = []
    for path in files:
        for volume in planes_of(read_volume_file(path, Unit.STORED)):
            prediction = predict(prepare(volume))
            named = interpret(prediction, volume).classifications[0].probabilities
            alarms.append(max(named, key=lambda name: named[name]) != "no_tumour")
            of_slices += (np.argmax(prediction, axis=1) != NO_TUMOUR).tolist()
    return FalseAlarms(len(files), len(alarms), sum(alarms), len(of_slices), sum(of_slices))
