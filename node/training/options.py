"""What a person chooses when starting a training."""

from __future__ import annotations

from dataclasses import dataclass

SERVED = "served"


@dataclass(frozen=True)
class TrainingOptions:
    """How to train: `epochs` None takes the model's own number; `resume` continues an interrupted run.

    `variant` is `SERVED`, the network that the node runs, or a key of `VARIANTS` in the model's
    `architecture.py`, such as "tutorial". Batches are drawn in `processes` beside the training; 0 is in it.
    """

    epochs: int | None = None
    seed: int = 20261120
    resume: bool = False
    variant: str = SERVED
    processes: int = 0
