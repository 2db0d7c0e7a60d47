"""Draws where the network looked, on pictures it was right and wrong about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from node.training.class_folders import ClassSample
from node.training.pictures import Panel, draw_panels, heat
from node.vocabulary import Pixels

from .pictures import prepare_sample
from .preprocess import CLASSES

PER_CLASS = 6
GRAD_CAM = "grad_cam.png"

Activate = Callable[[Pixels, int], Pixels]


def draw_activations(samples: Sequence[ClassSample], answers: Pixels, activate: Activate, folder: Path) -> Path:
    """Write `grad_cam.png`: a row for each class, wrong answers first, with what spoke for the answer in colour.

    `activate(picture, number)` returns how much each place of a (128, 128, 1) picture speaks for a class.
    """
    found = np.argmax(answers, axis=1)
    rows = []
    for label in CLASSES:
        members = [number for number, sample in enumerate(samples) if sample.label == label]
        members.sort(key=lambda number: CLASSES[found[number]] == samples[number].label)
        wrong = sum(CLASSES[found[number]] != label for number in members)
        shown = members[: min(wrong, PER_CLASS // 2)] + members[wrong:]
        rows.append([_panel(samples[number], int(found[number]), activate) for number in shown[:PER_CLASS]])
    return draw_panels(rows, folder / GRAD_CAM)


def _panel(sample: ClassSample, answer: int, activate: Activate) -> Panel:
    picture = prepare_sample(sample)
    shown = heat(picture, activate(picture[..., np.newaxis], answer))
    return Panel(shown, f"{sample.label}: {CLASSES[answer]}")
