"""Trains and scores one model folder by its own recipe: what `radnode train` does."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from node.clock import SystemClock
from node.errors import ModelCardError
from node.inference.loading import load_part
from node.training.options import TrainingOptions
from node.training.samples import Split


def train_model(  # noqa: PLR0913 - one argument per option of the verb
    folder: Path, data: Path, output: Path, *, epochs: int | None, seed: int, resume: bool
) -> Path:
    """Train the model of `folder` on `data` and return the weights file, scored on validation.

    Everything is written to `output`. `epochs` None takes the number the model was made with.
    Raises ModelCardError when the folder has no recipe, TrainingDataError when the data cannot be
    used.
    """
    train = _function(folder, "train")
    weights: Path = train(data, output, TrainingOptions(epochs, seed, resume))
    evaluate_model(folder, data, weights, Split.VALIDATION, SystemClock().now().date())
    return weights


def evaluate_model(folder: Path, data: Path, weights: Path, split: Split, day: date) -> Path:
    """Score weights of the model of `folder` on one split of `data`, and return the report beside them.

    The test split is for one look, when nothing is left to choose. Raises as `train_model` does.
    """
    evaluate = _function(folder, "evaluate")
    report: Path = evaluate(data, weights, split, day)
    return report


def _function(folder: Path, name: str) -> Any:
    """Return the function `name` of the file `name`.py in a model folder."""
    part = load_part(folder, name)
    if not hasattr(part, name):
        raise ModelCardError(
            f"{folder / name}.py: defines no function {name}; models/README.md says what it takes and returns"
        )
    return getattr(part, name)
