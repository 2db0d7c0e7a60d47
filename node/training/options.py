"""What a person chooses when starting a training."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingOptions:
    """How to train: `epochs` None takes the model's own number; `resume` continues an interrupted run."""

    epochs: int | None = None
    seed: int = 20261120
    resume: bool = False
