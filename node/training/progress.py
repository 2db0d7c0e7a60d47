"""Shows how far a training has come, on a terminal or as one line per epoch in a file."""

from __future__ import annotations

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class ProgressBar(keras.callbacks.Callback):
    """A bar over the epochs with the remaining time, the loss and the score that is watched."""

    def __init__(self, epochs: int, watched: str, console: Console | None = None) -> None:
        super().__init__()
        self._watched = watched
        self._console = console or Console()
        self._bar = Progress(
            TextColumn("epoch"),
            MofNCompleteColumn(),
            BarColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("", total=epochs)

    def on_train_begin(self, _logs: dict[str, float] | None = None) -> None:
        """Show the empty bar."""
        self._bar.start()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Advance the bar, or print a line where there is no terminal."""
        scores = logs or {}
        shown = dict.fromkeys(("loss", self._watched.removeprefix("val_"), "val_loss", self._watched))
        text = ", ".join(f"{name} {scores[name]:.4f}" for name in shown if name in scores)
        self._bar.update(self._task, completed=epoch + 1, description=text)
        if not self._console.is_terminal:
            self._console.print(f"epoch {epoch + 1}: {text}", highlight=False)

    def close(self) -> None:
        """Leave the bar as it is and give the cursor back, also after an interruption."""
        self._bar.stop()
