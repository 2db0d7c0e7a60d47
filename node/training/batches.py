"""Deals training examples out to Keras in batches that depend only on the seed and the epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from node.training.augmentation import Augmentation, augment

Pictures = NDArray[np.float32]
Example = tuple[NDArray[np.float32], NDArray[np.float32] | float]


@dataclass(frozen=True)
class LabelledPictures:
    """Prepared pictures (pictures, rows, columns, channels) and their truth (…, 1), both float32."""

    pictures: Pictures
    truths: Pictures

    def __len__(self) -> int:
        return len(self.pictures)


@dataclass(frozen=True)
class Dealing:
    """How batches are dealt: examples per batch, and how often each example comes in one epoch."""

    batch_size: int
    repeats: int
    seed: int


class EpochBatches(keras.utils.PyDataset):
    """Batches of which every epoch may have others; the fit loop calls `begin_epoch` before each.

    What `__getitem__` returns may depend on the seed, `epoch` and the number of the batch only, so
    that a resumed training sees what it would have seen.
    """

    def __init__(self) -> None:
        super().__init__(workers=1, use_multiprocessing=False)
        self.epoch = 0

    def begin_epoch(self, epoch: int) -> None:
        """Turn to the batches of an epoch, counted from 0."""
        self.epoch = epoch


class DrawnBatches(EpochBatches):
    """Every epoch shows each of `count` examples `repeats` times in a new order, each time drawn anew.

    `draw(index, rng)` returns the network's input and its target. Where `chances` are given, one for
    each example, an epoch has as many examples, drawn with replacement in proportion to them.
    """

    def __init__(
        self,
        draw: Callable[[int, Generator], Example],
        count: int,
        dealing: Dealing,
        chances: NDArray[np.float64] | None = None,
    ) -> None:
        super().__init__()
        self._draw = draw
        self._count = count
        self._dealing = dealing
        self._chances = None if chances is None else chances / chances.sum()

    def __len__(self) -> int:
        return max(1, self._count * self._dealing.repeats // self._dealing.batch_size)

    def __getitem__(self, batch: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return batch number `batch` of the present epoch: inputs and targets."""
        size = self._dealing.batch_size
        places = range(batch * size, (batch + 1) * size)
        chosen = self._order()[batch * size : (batch + 1) * size]
        drawn = [self._draw(int(index), self._rng(place)) for index, place in zip(chosen, places, strict=False)]
        inputs, targets = zip(*drawn, strict=True)
        return np.stack(inputs), np.stack([np.asarray(target, np.float32) for target in targets])

    def _order(self) -> NDArray[np.int64]:
        """Return the indices of the epoch; without chances every example once before any twice."""
        rng = np.random.default_rng([self._dealing.seed, self.epoch])
        if self._chances is not None:
            return rng.choice(self._count, self._count * self._dealing.repeats, p=self._chances)
        return np.concatenate([rng.permutation(self._count) for _ in range(self._dealing.repeats)])

    def _rng(self, place: int) -> Generator:
        return np.random.default_rng([self._dealing.seed, self.epoch, place])


class AugmentedBatches(DrawnBatches):
    """Labelled pictures, each time varied anew within `limits`."""

    def __init__(self, labelled: LabelledPictures, limits: Augmentation, dealing: Dealing) -> None:
        super().__init__(self._vary, len(labelled), dealing)
        self._labelled = labelled
        self._limits = limits

    def _vary(self, index: int, rng: Generator) -> Example:
        truth = self._labelled.truths[index, :, :, 0]
        picture, moved = augment(self._labelled.pictures[index], truth, self._limits, rng)
        return picture, moved[..., np.newaxis]
