"""Trains and scores one model folder by its own recipe: what `radnode train` and `radnode evaluate` do."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from node.clock import SystemClock
from node.errors import ModelCardError, TrainingDataError
from node.inference.loading import load_part
from node.training.epoch_log import LOG
from node.training.options import SERVED, TrainingOptions
from node.training.run_record import RECORD, RunRecord, write_record
from node.training.samples import Split


def train_model(folder: Path, data: Path, output: Path, options: TrainingOptions) -> Path:
    """Train the model of `folder` on `data` and return the weights file, scored on validation.

    Everything is written to `output`, with a record of what it was made from. Raises ModelCardError
    when the folder has no recipe or not the variant, TrainingDataError when the data cannot be used.
    """
    train = _function(folder, "train")
    _check_variant(folder, options.variant)
    write_record(RunRecord(folder.name, data.name, options), output)
    weights: Path = train(data, output, options)
    evaluate_model(folder, data, weights, Split.VALIDATION, SystemClock().now().date())
    return weights


def evaluate_model(folder: Path, data: Path, weights: Path, split: Split, day: date) -> Path:
    """Score weights of the model of `folder` on one split of `data`, and return the report beside them.

    The test split is for one look, when nothing is left to choose. Raises as `train_model` does.
    """
    evaluate = _function(folder, "evaluate")
    report: Path = evaluate(data, weights, split, day)
    return report


def evaluate_elsewhere(folder: Path, data: Path, weights: Path, split: Split, output: Path) -> Path:
    """Score weights on one split of `data` and return the report, which lies in `output` with a copy of them.

    Weights beside them are copied too, for an evaluation may need those that have not seen some patient.
    Neither the model folder nor the run that made the weights is touched. Raises TrainingDataError
    where `output` holds an evaluation already.
    """
    output.mkdir(parents=True, exist_ok=True)
    if any(output.iterdir()):
        raise TrainingDataError(f"{output}: is not empty; name a new folder, so that no older report is lost")
    for file in {weights, *weights.parent.glob("*.weights.h5"), weights.parent / RECORD, weights.parent / LOG}:
        if file.is_file():
            shutil.copyfile(file, output / file.name)
    return evaluate_model(folder, data, output / weights.name, split, SystemClock().now().date())


def _check_variant(folder: Path, variant: str) -> None:
    """Raise ModelCardError unless the architecture of the model has the variant."""
    variants = getattr(load_part(folder, "architecture"), "VARIANTS", {})
    if variant != SERVED and variant not in variants:
        known = ", ".join(sorted({SERVED, *variants}))
        raise ModelCardError(f"{folder.name}: has no variant {variant!r} in its architecture.py; known: {known}")


def _function(folder: Path, name: str) -> Callable[..., Any]:
    """Return the function `name` of the file `name`.py in a model folder."""
    part = load_part(folder, name)
    found: Callable[..., Any] | None = getattr(part, name, None)
    if found is None:
        raise ModelCardError(
            f"{folder / name}.py: defines no function {name}; models/README.md says what it takes and returns"
        )
    return found
