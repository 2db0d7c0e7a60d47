"""Writes the scores of each epoch as an event file that TensorBoard reads, without needing TensorBoard."""

from __future__ import annotations

from pathlib import Path

import keras
import tensorflow as tf

from node.clock import Clock


class EventLog(keras.callbacks.Callback):
    """One event file per run in `folder`; each epoch adds its scores under their Keras names.

    Keras' own callback needs the tensorboard package, which a node has no other use for.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        super().__init__()
        self._folder = folder
        self._clock = clock

    def on_train_begin(self, _logs: dict[str, float] | None = None) -> None:
        """Open a new file."""
        self._folder.mkdir(parents=True, exist_ok=True)
        number = len(list(self._folder.iterdir()))
        # TensorBoard takes every file with "tfevents" in its name; the number orders the runs.
        self._writer = tf.io.TFRecordWriter(str(self._folder / f"events.out.tfevents.{number:04d}"))
        self._write(file_version="brain.Event:2")

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Write the scores of the epoch, so that a running TensorBoard shows them at once."""
        value = tf.compat.v1.Summary.Value
        scores = [value(tag=name, simple_value=score) for name, score in (logs or {}).items()]
        self._write(step=epoch, summary=tf.compat.v1.Summary(value=scores))

    def on_train_end(self, _logs: dict[str, float] | None = None) -> None:
        """Close the file."""
        self._writer.close()

    def _write(self, **content: object) -> None:
        event = tf.compat.v1.Event(wall_time=self._clock.now().timestamp(), **content)
        self._writer.write(event.SerializeToString())
        self._writer.flush()
