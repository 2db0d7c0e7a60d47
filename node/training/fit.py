"""Runs the epochs: learning rate, best weights, early stopping, resumption and the logs of one training."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import keras

from node.clock import SystemClock
from node.training.augmentation import Augmentation
from node.training.batches import AugmentedBatches, Dealing, LabelledPictures
from node.training.epoch_log import WATCHED, EpochLog, best_epoch
from node.training.losses import dice, dice_loss, iou, precision, recall
from node.training.progress import ProgressBar
from node.training.tensorboard import EventLog

BEST_WEIGHTS = "best.weights.h5"
LOG = "epochs.csv"
Loss = Callable[[keras.KerasTensor, keras.KerasTensor], keras.KerasTensor]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train; the learning rate rises for `warm_up` epochs, then falls as a cosine.

    Training ends early when `patience` epochs passed without a better Dice on the validation split.
    """

    epochs: int
    dealing: Dealing
    learning_rate: float = 1e-3
    last_learning_rate: float = 1e-5
    warm_up: int = 3
    patience: int = 30
    loss: Loss = dice_loss

    def learning_rate_at(self, epoch: int) -> float:
        """Return the learning rate of an epoch, counted from 0."""
        if epoch < self.warm_up:
            return self.learning_rate * (epoch + 1) / (self.warm_up + 1)
        gone = (epoch - self.warm_up) / max(1, self.epochs - self.warm_up)
        share = 0.5 * (1.0 + math.cos(math.pi * min(1.0, gone)))
        return self.last_learning_rate + share * (self.learning_rate - self.last_learning_rate)


@dataclass(frozen=True)
class Pictures:
    """The two splits that training may see, and how far the first is varied."""

    train: LabelledPictures
    validation: LabelledPictures
    limits: Augmentation


def fit(model: keras.Model, pictures: Pictures, schedule: Schedule, output: Path, resume: bool) -> Path:
    """Train with Adam, and return the file of the weights best on validation.

    `output` receives these weights, `epochs.csv` and `tensorboard/`; while training goes on also
    `backup/`, from which `resume` continues as if it had never stopped.
    """
    output.mkdir(parents=True, exist_ok=True)
    if not resume:
        _forget(output)
    batches = AugmentedBatches(pictures.train, pictures.limits, schedule.dealing)
    model.compile(
        keras.optimizers.Adam(schedule.learning_rate),
        loss=schedule.loss,
        metrics=[dice, iou, recall, precision],
        jit_compile=False,
    )
    with closing(ProgressBar(schedule.epochs)) as bar:
        model.fit(
            batches,
            validation_data=(pictures.validation.pictures, pictures.validation.truths),
            validation_batch_size=schedule.dealing.batch_size,
            epochs=schedule.epochs,
            shuffle=False,
            callbacks=[*_callbacks(batches, schedule, output), bar],
            verbose=0,
        )
    return output / BEST_WEIGHTS


def _callbacks(batches: AugmentedBatches, schedule: Schedule, output: Path) -> list[keras.callbacks.Callback]:
    return [
        _SetEpoch(batches),
        keras.callbacks.LearningRateScheduler(lambda epoch, _: schedule.learning_rate_at(epoch)),
        _KeepBest(output, schedule.patience),
        EpochLog(output / LOG),
        EventLog(output / "tensorboard", SystemClock()),
        keras.callbacks.BackupAndRestore(str(output / "backup")),
    ]


def _forget(output: Path) -> None:
    """Remove what an earlier training left, so that nothing of it is continued."""
    for name in (BEST_WEIGHTS, LOG, "backup/latest.weights.h5", "backup/training_metadata.json"):
        (output / name).unlink(missing_ok=True)


class _SetEpoch(keras.callbacks.Callback):
    """Puts batches and dropout where an uninterrupted training has them when the epoch begins.

    Keras keeps no dropout state with the weights. Dropout draws once for each batch.
    """

    def __init__(self, batches: AugmentedBatches) -> None:
        super().__init__()
        self._batches = batches

    def on_epoch_begin(self, epoch: int, _logs: dict[str, float] | None = None) -> None:
        """Set what is drawn in this epoch."""
        self._batches.epoch = epoch
        for layer in self.model.layers:
            if hasattr(layer, "seed_generator"):
                state = layer.seed_generator.state
                state.assign([state[0], epoch * len(self._batches)])


class _KeepBest(keras.callbacks.Callback):
    """Writes the weights whenever validation improves, and stops when it no longer does.

    What was best so far comes from the log, so it outlives an interruption.
    """

    def __init__(self, output: Path, patience: int) -> None:
        super().__init__()
        self._output = output
        self._patience = patience
        self._epoch, self._score = best_epoch(output / LOG) or (-1, -math.inf)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keep these weights if they are the best so far; stop if none were for long."""
        score = float((logs or {})[WATCHED])
        if score > self._score:
            self._epoch, self._score = epoch, score
            # A model that was never compiled saves no optimizer state, which would triple the file.
            bare = keras.Model(self.model.inputs, self.model.outputs)
            bare.save_weights(self._output / BEST_WEIGHTS, overwrite=True)
        elif epoch - self._epoch >= self._patience:
            self.model.stop_training = True
