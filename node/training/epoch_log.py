"""Keeps the scores of every epoch as a CSV table, which outlives an interruption."""

from __future__ import annotations

import csv
from pathlib import Path

import keras

WATCHED = "val_dice"


class EpochLog(keras.callbacks.Callback):
    """Adds one row for each epoch to a table that later epochs, also of a resumed run, extend."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Write the row, and the names of the columns before the first."""
        row = {"epoch": epoch, **(logs or {})}
        is_new = not self._file.is_file()
        with self._file.open("a", newline="", encoding="utf-8") as opened:
            writer = csv.DictWriter(opened, list(row))
            if is_new:
                writer.writeheader()
            writer.writerow(row)


def best_epoch(log: Path) -> tuple[int, float] | None:
    """Return the first epoch with the best Dice on validation, and that Dice; None before any epoch."""
    if not log.is_file():
        return None
    with log.open(newline="", encoding="utf-8") as opened:
        scores = {int(row["epoch"]): float(row[WATCHED]) for row in csv.DictReader(opened)}
    if not scores:
        return None
    epoch = max(scores, key=lambda number: (scores[number], -number))
    return epoch, scores[epoch]
