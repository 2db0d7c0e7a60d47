"""Deals training pictures out to Keras in batches that depend only on the seed and the epoch."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from node.training.augmentation import Augmentation, augment

Pictures = NDArray[np.float32]


@dataclass(frozen=True)
class LabelledPictures:
    """Prepared pictures (pictures, rows, columns, channels) and their truth (…, 1), both float32."""

    pictures: Pictures
    truths: Pictures

    def __len__(self) -> int:
        return len(self.pictures)


@dataclass(frozen=True)
class Dealing:
    """How batches are dealt: pictures per batch, and how often each picture comes in one epoch."""

    batch_size: int
    repeats: int
    seed: int


class AugmentedBatches(keras.utils.PyDataset):
    """Every epoch shows each picture `repeats` times in a new order, each time varied anew.

    `epoch` is set by the fit loop, so that a resumed training sees what it would have seen.
    """

    def __init__(self, labelled: LabelledPictures, limits: Augmentation, dealing: Dealing) -> None:
        super().__init__(workers=1, use_multiprocessing=False)
        self.epoch = 0
        self._labelled = labelled
        self._limits = limits
        self._dealing = dealing

    def __len__(self) -> int:
        return max(1, len(self._labelled) * self._dealing.repeats // self._dealing.batch_size)

    def __getitem__(self, batch: int) -> tuple[Pictures, Pictures]:
        """Return batch number `batch` of the present epoch."""
        size = self._dealing.batch_size
        chosen = self._order()[batch * size : (batch + 1) * size]
        drawn = [self._draw(int(index), batch * size + place) for place, index in enumerate(chosen)]
        pictures, truths = zip(*drawn, strict=True)
        return np.stack(pictures), np.stack(truths)[..., np.newaxis]

    def _order(self) -> NDArray[np.int64]:
        """Return the indices of the epoch: every picture once before any picture twice."""
        rng = np.random.default_rng([self._dealing.seed, self.epoch])
        return np.concatenate([rng.permutation(len(self._labelled)) for _ in range(self._dealing.repeats)])

    def _draw(self, index: int, place: int) -> tuple[Pictures, Pictures]:
        rng = np.random.default_rng([self._dealing.seed, self.epoch, place])
        picture = self._labelled.pictures[index]
        truth = self._labelled.truths[index, :, :, 0]
        return augment(picture, truth, self._limits, rng)
