"""Keeps a running mean of the weights, which scores better and more evenly than the last weights alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops


class AveragedWeights(keras.callbacks.Callback):
    """Averages all weights over the batches, moving statistics of norms included, and judges the mean.

    After n batches the mean forgets by min(momentum, (1 + n) / (10 + n)), so that it is useful from
    the start (Polyak and Juditsky, SIAM J. Control Optim. 30, 1992; the ramp is TensorFlow's). Validation
    runs on the mean. At the end of each epoch the mean goes to `folder`, from which a resumed training
    takes it up.
    """

    def __init__(self, momentum: float, folder: Path) -> None:
        super().__init__()
        self._momentum = momentum
        self._folder = folder
        self._means: list[Any] = []  # tensors, so that on a GPU no step waits for a copy
        self._batches = 0

    def on_epoch_begin(self, epoch: int, _logs: dict[str, float] | None = None) -> None:
        """Start from the weights as they are, or from the mean that an interrupted training kept."""
        if self._means:
            return
        kept = self._file(epoch)
        if not kept.is_file():
            self._means = [ops.copy(variable) for variable in self._variables()]
            return
        with np.load(kept) as arrays:
            self._batches = int(arrays["batches"])
            self._means = [
                ops.convert_to_tensor(arrays[f"mean{number}"]) for number in range(len(self._variables()))
            ]

    def on_train_batch_end(self, _batch: int, **_logs: object) -> None:
        """Let the mean follow the weights."""
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()  # which keeps the weights to itself within an epoch
        self._batches += 1
        step = 1.0 - min(self._momentum, (1.0 + self._batches) / (10.0 + self._batches))
        pairs = zip(self._means, self._variables(), strict=True)
        self._means = [mean + step * (ops.convert_to_tensor(variable) - mean) for mean, variable in pairs]

    def on_test_begin(self, _logs: dict[str, float] | None = None) -> None:
        """Validate the mean."""
        self._swap()

    def on_test_end(self, _logs: dict[str, float] | None = None) -> None:
        """Go on training the weights."""
        self._swap()

    def on_epoch_end(self, epoch: int, _logs: dict[str, float] | None = None) -> None:
        """Keep the mean for a resumed training, beside the checkpoint of the same epoch."""
        self._folder.mkdir(parents=True, exist_ok=True)
        means = enumerate(self._means)
        arrays: dict[str, Any] = {f"mean{number}": ops.convert_to_numpy(mean) for number, mean in means}
        np.savez(self._file(epoch + 1), batches=np.asarray(self._batches), **arrays)
        self._file(epoch - 1).unlink(missing_ok=True)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the mean into the model for a while."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        variables = self._variables()
        weights = [ops.copy(variable) for variable in variables]
        for variable, mean in zip(variables, self._means, strict=True):
            variable.assign(mean)
        self._means = weights

    def _variables(self) -> list[keras.Variable]:
        return list(self.model.weights)

    def _file(self, epoch: int) -> Path:
        """Return where the mean lies with which an epoch begins."""
        return self._folder / f"averages_{epoch}.npz"
