"""Where training examples come from - memory, record files or a Python function - behind one interface."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from node.training.batches import EpochBatches

Values = NDArray[np.float32]
Example = tuple[Values, Values]
Vary = Callable[[Example, Generator], Example]


class Source(Protocol):
    """Examples in the order of an epoch; input and target of each, both float32."""

    def __len__(self) -> int:
        """Return how many examples an epoch has."""

    def examples(self, epoch: int) -> Iterator[Example]:
        """Yield every example once, in an order that depends on the epoch and the source's seed only."""


class InMemory:
    """Examples that are kept in memory: the fastest, while they fit."""

    def __init__(self, examples: Sequence[Example], seed: int) -> None:
        self._examples = examples
        self._seed = seed

    def __len__(self) -> int:
        return len(self._examples)

    def examples(self, epoch: int) -> Iterator[Example]:
        """Yield the examples, permuted anew in every epoch."""
        for index in np.random.default_rng([self._seed, epoch]).permutation(len(self._examples)):
            yield self._examples[index]


class Generated:
    """Examples that a function makes when they are needed, such as by reading and preparing a volume."""

    def __init__(self, make: Callable[[int], Example], count: int, seed: int) -> None:
        self._make = make
        self._count = count
        self._seed = seed

    def __len__(self) -> int:
        return self._count

    def examples(self, epoch: int) -> Iterator[Example]:
        """Yield `make(index)` for every index, permuted anew in every epoch."""
        for index in np.random.default_rng([self._seed, epoch]).permutation(self._count):
            yield self._make(int(index))


class SourceBatches(EpochBatches):
    """The examples of a source in batches, in Keras' own form, so that any backend can take them.

    `vary` changes each example on the way, such as by cutting a patch or augmenting it; its random
    numbers depend on the seed, the epoch and the place of the example. What is left of an epoch after
    the last whole batch is left out.
    """

    def __init__(self, source: Source, batch_size: int, seed: int, vary: Vary | None = None) -> None:
        super().__init__()
        self._source = source
        self._batch_size = batch_size
        self._seed = seed
        self._vary = vary
        self._running: Iterator[Example] = iter(())
        self._next = (-1, 0)

    def __len__(self) -> int:
        return max(1, len(self._source) // self._batch_size)

    def __getitem__(self, batch: int) -> Example:
        """Return batch number `batch` of the present epoch; in order costs nothing, going back starts anew."""
        self._go_to(batch)
        places = range(batch * self._batch_size, (batch + 1) * self._batch_size)
        taken = [self._varied(example, place) for place, example in zip(places, self._running, strict=False)]
        self._next = (self.epoch, batch + 1)
        inputs, targets = zip(*taken, strict=True)
        return np.stack(inputs), np.stack(targets)

    def _go_to(self, batch: int) -> None:
        epoch, ahead = self._next
        if epoch != self.epoch or ahead > batch:
            self._running, ahead = self._source.examples(self.epoch), 0
        for _ in range((batch - ahead) * self._batch_size):
            next(self._running)

    def _varied(self, example: Example, place: int) -> Example:
        if self._vary is None:
            return example
        return self._vary(example, np.random.default_rng([self._seed, self.epoch, place]))
