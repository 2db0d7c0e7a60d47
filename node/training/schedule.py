"""How long and how fast one training goes, what it minimises and by what it is judged."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import keras

from node.training.losses import dice, dice_loss, iou, precision, recall

Loss = Callable[[keras.KerasTensor, keras.KerasTensor], keras.KerasTensor]
Metric: TypeAlias = Loss | keras.metrics.Metric | str


@dataclass(frozen=True)
class Schedule:
    """How to train; the learning rate rises for `warm_up` epochs, then falls as a cosine.

    The weights kept are those of the epoch whose `watched` column of the log is best; training ends
    early when `patience` epochs passed without a better one. `loss` and `metrics` may be Keras' names.
    `weight_decay` pulls kernels to zero (Loshchilov and Hutter, ICLR 2019), biases and norms not.
    `averaging`, such as 0.999, judges and keeps the running mean of the weights over the last batches
    instead of the weights themselves. `validation_batch` is for validation given as arrays.
    """

    epochs: int
    learning_rate: float = 1e-3
    last_learning_rate: float = 1e-5
    warm_up: int = 3
    patience: int = 30
    loss: Loss | keras.losses.Loss | str = dice_loss
    metrics: tuple[Metric, ...] = (dice, iou, recall, precision)
    watched: str = "val_dice"
    higher_is_better: bool = True
    weight_decay: float = 0.0
    averaging: float | None = None
    validation_batch: int = 8

    def learning_rate_at(self, epoch: int) -> float:
        """Return the learning rate of an epoch, counted from 0."""
        if epoch < self.warm_up:
            return self.learning_rate * (epoch + 1) / (self.warm_up + 1)
        gone = (epoch - self.warm_up) / max(1, self.epochs - self.warm_up)
        share = 0.5 * (1.0 + math.cos(math.pi * min(1.0, gone)))
        return self.last_learning_rate + share * (self.learning_rate - self.last_learning_rate)
