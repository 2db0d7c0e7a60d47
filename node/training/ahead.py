"""Draws batches ahead in processes of their own, so that a GPU need not wait for them."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from node.errors import TrainingDataError
from node.training.batches import EpochBatches


@contextmanager
def drawn_ahead(source: EpochBatches, processes: int) -> Iterator[EpochBatches]:
    """Give the same batches, drawn in so many processes that end with the block; for 0 of them, `source` itself.

    Processes are forked, so that they need no copy of the data: `source` must not compute with Keras.
    """
    if not processes:
        yield source
        return
    context = multiprocessing.get_context("fork")
    pipes = [context.Pipe() for _ in range(processes)]
    drawers = [
        context.Process(target=_draw, args=(source, theirs, number, processes), daemon=True)
        for number, (_, theirs) in enumerate(pipes)
    ]
    for drawer in drawers:
        drawer.start()
    for _, theirs in pipes:
        theirs.close()
    try:
        yield BatchesAhead(source, [ours for ours, _ in pipes])
    finally:
        for drawer in drawers:
            drawer.terminate()
            drawer.join()


class BatchesAhead(EpochBatches):
    """The batches of `source`, of which the process behind connection k draws numbers k, k + n, … of n connections.

    A batch that is asked for out of turn, as Keras does to learn its shape, is drawn here.
    """

    def __init__(self, source: EpochBatches, connections: list[Connection]) -> None:
        super().__init__()
        self._source = source
        self._connections = connections
        self._next = len(source)  # nothing is under way before the first epoch begins

    def __len__(self) -> int:
        return len(self._source)

    def begin_epoch(self, epoch: int) -> None:
        """Let every process draw its part of the epoch; what is left of the one before is dropped."""
        super().begin_epoch(epoch)
        self._source.begin_epoch(epoch)
        for batch in range(self._next, len(self)):
            self._receive(batch)
        for connection in self._connections:
            connection.send(epoch)
        self._next = 0

    def __getitem__(self, batch: int) -> tuple[Any, Any]:
        """Return batch number `batch` of the present epoch; raises TrainingDataError when its process died."""
        if batch == self._next:
            self._next += 1
            return self._receive(batch)
        inputs, targets = self._source[batch]
        return inputs, targets

    def _receive(self, batch: int) -> tuple[Any, Any]:
        try:
            inputs, targets = self._connections[batch % len(self._connections)].recv()
        except EOFError as error:
            raise TrainingDataError(f"batch {batch}: the process that draws it died; its error stands above") from error
        return inputs, targets


def _draw(source: EpochBatches, connection: Connection, first: int, step: int) -> None:
    """Draw and send every `step`-th batch of each epoch that is named; the pipe holds back who is far ahead."""
    while True:
        source.begin_epoch(connection.recv())
        for batch in range(first, len(source), step):
            connection.send(source[batch])
