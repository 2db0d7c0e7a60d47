"""Keeps the scores of every epoch as a CSV table, which outlives an interruption."""

from __future__ import annotations

import csv
from pathlib import Path

import keras

LOG = "epochs.csv"


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


def read_log(log: Path) -> list[dict[str, float]]:
    """Return the rows of a table by column name, none before any epoch; a repeated epoch counts once."""
    if not log.is_file():
        return []
    with log.open(newline="", encoding="utf-8") as opened:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(opened)]
    return list({row["epoch"]: row for row in rows}.values())


def best_epoch(log: Path, watched: str, higher_is_better: bool = True) -> tuple[int, float] | None:
    """Return the first epoch with the best value in the column `watched`, and that value; None before any."""
    rows = read_log(log)
    if not rows:
        return None
    sign = 1.0 if higher_is_better else -1.0
    best = max(rows, key=lambda row: (sign * row[watched], -row["epoch"]))
    return int(best["epoch"]), best[watched]
