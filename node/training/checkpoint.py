"""Keeps what a training needs to go on after an interruption, so that a kill at any moment costs one epoch at most."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import keras

_CHECKPOINT = re.compile(r"epoch_(\d+)\.weights\.h5")


def save_whole(model: keras.Model, file: Path, beside: Path) -> None:
    """Save weights so that `file` is either as it was or whole, whenever the process dies.

    They are written to the folder `beside` first, which must be on the same file system.
    """
    beside.mkdir(parents=True, exist_ok=True)
    partial = beside / "partial.weights.h5"
    model.save_weights(partial, overwrite=True)
    partial.replace(file)


class Checkpoints(keras.callbacks.Callback):
    """Keeps weights and optimizer at the end of each epoch in `folder`, and removes it when training ends.

    The newest file is the checkpoint: it has its name only once it is whole, and the one before is
    removed only then. Whatever else an epoch leaves in `folder` must be there before.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    @property
    def next_epoch(self) -> int:
        """Return the epoch to go on with; 0 where no epoch was kept."""
        return max(self._kept(), default=0)

    def restore(self, model: keras.Model) -> None:
        """Give a compiled model what the newest checkpoint holds, if there is one."""
        if self.next_epoch:
            model.optimizer.build(model.trainable_variables)
            model.load_weights(self._kept()[self.next_epoch])

    def on_epoch_end(self, epoch: int, _logs: dict[str, float] | None = None) -> None:
        """Keep the state with which the next epoch begins."""
        before = self._kept()
        save_whole(self.model, self._folder / f"epoch_{epoch + 1}.weights.h5", beside=self._folder)
        for number, file in before.items():
            if number != epoch + 1:
                file.unlink()

    def on_train_end(self, _logs: dict[str, float] | None = None) -> None:
        """Remove what only a resumed training needs."""
        self.forget()

    def forget(self) -> None:
        """Remove every checkpoint, and then what it was kept with."""
        for file in self._kept().values():
            file.unlink()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _kept(self) -> dict[int, Path]:
        """Return the checkpoints by the epoch that comes next."""
        found = {file: _CHECKPOINT.fullmatch(file.name) for file in self._folder.glob("*")}
        return {int(match[1]): file for file, match in found.items() if match}
