"""Runs the epochs: learning rate, best weights, early stopping, resumption and the logs of one training."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from node.clock import SystemClock
from node.training.ahead import drawn_ahead
from node.training.averaging import AveragedWeights
from node.training.batches import EpochBatches
from node.training.checkpoint import Checkpoints, save_whole
from node.training.epoch_log import LOG, EpochLog, best_epoch, read_log
from node.training.options import TrainingOptions
from node.training.progress import ProgressBar
from node.training.schedule import Schedule
from node.training.tensorboard import EventLog

BEST_WEIGHTS = "best.weights.h5"
BACKUP = "backup"
Judged = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class Material:
    """What training may see: `batches` to learn from, and `validation`, arrays (inputs, targets) or batches."""

    batches: EpochBatches
    validation: tuple[Any, Any] | keras.utils.PyDataset


def fit(
    model: keras.Model, material: Material, schedule: Schedule, output: Path, options: TrainingOptions
) -> Path:
    """Train with Adam, and return the file of the weights best on validation.

    `output` receives these weights, `epochs.csv` and `tensorboard/`; while training goes on also
    `backup/`, from which a resumed training continues as if it had never stopped. To resume a training
    that had come to its end returns what it left.
    """
    output.mkdir(parents=True, exist_ok=True)
    checkpoints = Checkpoints(output / BACKUP)
    if options.resume and _is_finished(output, schedule):
        checkpoints.forget()
        return output / BEST_WEIGHTS
    if not (options.resume and checkpoints.next_epoch):
        _forget(output, checkpoints)
    model.compile(
        _optimizer(model, schedule),
        loss=schedule.loss,
        metrics=list(schedule.metrics),
        jit_compile=keras.backend.backend() == "jax",  # JAX would else run op by op; TensorFlow gains nothing here
    )
    checkpoints.restore(model)
    validation_batch = schedule.validation_batch if isinstance(material.validation, tuple) else None
    with (
        closing(ProgressBar(schedule.epochs, schedule.watched)) as bar,
        drawn_ahead(material.batches, options.processes) as batches,
    ):
        model.fit(
            batches,
            validation_data=material.validation,
            validation_batch_size=validation_batch,
            epochs=schedule.epochs,
            initial_epoch=checkpoints.next_epoch,
            shuffle=False,
            callbacks=[*_callbacks(batches, schedule, output), checkpoints, bar],
            verbose=0,
        )
    return output / BEST_WEIGHTS


def _optimizer(model: keras.Model, schedule: Schedule) -> keras.optimizers.Optimizer:
    """Return Adam, with decoupled weight decay on kernels where it is asked for."""
    if not schedule.weight_decay:
        return keras.optimizers.Adam(schedule.learning_rate)
    optimizer = keras.optimizers.AdamW(schedule.learning_rate, weight_decay=schedule.weight_decay)
    optimizer.exclude_from_weight_decay([weight for weight in model.trainable_weights if len(weight.shape) < 2])
    return optimizer


def _callbacks(batches: EpochBatches, schedule: Schedule, output: Path) -> list[keras.callbacks.Callback]:
    """Return what happens around epochs before their checkpoint, which says that all of it was done."""
    averages = None if schedule.averaging is None else AveragedWeights(schedule.averaging, output / BACKUP)
    return [
        _SetEpoch(batches),
        keras.callbacks.LearningRateScheduler(lambda epoch, _: schedule.learning_rate_at(epoch)),
        *([averages] if averages else []),
        _KeepBest(output, schedule, averages.in_place if averages else nullcontext),
        EpochLog(output / LOG),
        EventLog(output / "tensorboard", SystemClock()),
    ]


def _is_finished(output: Path, schedule: Schedule) -> bool:
    """Say whether a training in this folder went through its epochs, or stopped because it no longer improved."""
    best = best_epoch(output / LOG, schedule.watched, schedule.higher_is_better)
    if best is None or not (output / BEST_WEIGHTS).is_file():
        return False
    last = int(read_log(output / LOG)[-1]["epoch"])
    return last + 1 >= schedule.epochs or last - best[0] >= schedule.patience


def _forget(output: Path, checkpoints: Checkpoints) -> None:
    """Remove what an earlier training left, so that nothing of it is continued."""
    checkpoints.forget()
    for name in (LOG, BEST_WEIGHTS):
        (output / name).unlink(missing_ok=True)


class _SetEpoch(keras.callbacks.Callback):
    """Puts batches and dropout where an uninterrupted training has them when the epoch begins.

    Keras keeps no dropout state with the weights. Dropout draws once for each batch.
    """

    def __init__(self, batches: EpochBatches) -> None:
        super().__init__()
        self._batches = batches

    def on_epoch_begin(self, epoch: int, _logs: dict[str, float] | None = None) -> None:
        """Set what is drawn in this epoch."""
        self._batches.begin_epoch(epoch)
        for layer in _layers_of(self.model):
            if hasattr(layer, "seed_generator"):
                state = layer.seed_generator.state
                state.assign([state[0], epoch * len(self._batches)])


class _KeepBest(keras.callbacks.Callback):
    """Writes the weights whenever validation improves, and stops when it no longer does.

    What was best so far comes from the log, so it outlives an interruption. Inside `judged` the model
    has the weights that validation saw.
    """

    def __init__(self, output: Path, schedule: Schedule, judged: Judged) -> None:
        super().__init__()
        self._output = output
        self._watched = schedule.watched
        self._patience = schedule.patience
        self._judged = judged
        self._sign = 1.0 if schedule.higher_is_better else -1.0
        epoch, score = best_epoch(output / LOG, schedule.watched, schedule.higher_is_better) or (-1, -math.inf)
        self._epoch, self._score = epoch, self._sign * score if epoch >= 0 else -math.inf

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keep these weights if they are the best so far; stop if none were for long."""
        score = self._sign * float((logs or {})[self._watched])
        if score > self._score:
            self._epoch, self._score = epoch, score
            with self._judged():
                self._save()
        elif epoch - self._epoch >= self._patience:
            self.model.stop_training = True

    def _save(self) -> None:
        # A model that was never compiled saves no optimizer state, which would triple the file.
        bare = keras.Model(self.model.inputs, self.model.outputs)
        save_whole(bare, self._output / BEST_WEIGHTS, beside=self._output / BACKUP)


def _layers_of(model: keras.Model) -> Iterator[keras.Layer]:
    """Yield the layers of a model and of the models in it."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers_of(layer)
        else:
            yield layer
