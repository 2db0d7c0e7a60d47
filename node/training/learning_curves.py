"""Draws the scores of every epoch of a training as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from node.errors import TrainingDataError
from node.training.epoch_log import LOG, read_log

Colour = tuple[int, int, int]

CURVES = "learning_curves.png"
MOST_PANELS = 3
PANEL = (420, 300)
MARGINS = (56, 34, 16, 40)  # left, top, right, bottom
INK: Colour = (40, 40, 40)
FAINT: Colour = (225, 225, 225)
TRAINING: Colour = (31, 119, 180)
VALIDATION: Colour = (214, 96, 20)
TICKS = 6
FONT_SIZE = 13


@dataclass(frozen=True)
class _Panel:
    """One quantity over the epochs: where its panel lies, and which range of epochs and values it shows."""

    left: int
    epochs: tuple[float, float]
    values: tuple[float, float]

    def place(self, epoch: float, value: float) -> tuple[float, float]:
        """Return the pixel of a point."""
        left, top, right, bottom = MARGINS
        across = (epoch - self.epochs[0]) / (self.epochs[1] - self.epochs[0])
        up = (value - self.values[0]) / (self.values[1] - self.values[0])
        return (
            self.left + left + across * (PANEL[0] - left - right),
            PANEL[1] - bottom - up * (PANEL[1] - top - bottom),
        )


def draw_curves_of_run(folder: Path) -> Path | None:
    """Write the curves of loss and scores beside the `epochs.csv` of a run, where there is one.

    Return the PNG, also one that lies there without the table, as beside weights that were copied.
    """
    file = folder / CURVES
    rows = read_log(folder / LOG)
    if rows:
        told = [column for column in rows[0] if f"val_{column}" in rows[0]]
        return draw_learning_curves(folder / LOG, file, sorted(told, key=lambda name: name != "loss")[:MOST_PANELS])
    return file if file.is_file() else None


def draw_learning_curves(log: Path, file: Path, columns: Sequence[str] = ("loss",)) -> Path:
    """Write a PNG with a panel for each column of `epochs.csv`, on training and on validation data.

    Raises TrainingDataError when the table has no epoch or lacks a column.
    """
    rows = read_log(log)
    missing = [column for column in columns if not rows or column not in rows[0]]
    if missing:
        raise TrainingDataError(f"{log}: holds no epoch with {', '.join(missing)}; train first, or name its columns")
    canvas = Image.new("RGB", (PANEL[0] * len(columns), PANEL[1]), "white")
    draw = ImageDraw.Draw(canvas)
    for number, column in enumerate(columns):
        _draw_panel(draw, rows, column, number * PANEL[0])
    canvas.quantize(64).save(file, optimize=True)
    return file


def _draw_panel(draw: ImageDraw.ImageDraw, rows: Sequence[dict[str, float]], column: str, left: int) -> None:
    lines = {"training": (column, TRAINING), "validation": (f"val_{column}", VALIDATION)}
    lines = {name: line for name, line in lines.items() if line[0] in rows[0]}
    values = [row[key] for row in rows for key, _ in lines.values() if math.isfinite(row[key])]
    epochs = [row["epoch"] + 1 for row in rows]
    panel = _Panel(left, _range(epochs), _range(values))
    _draw_axes(draw, panel)
    draw.text((left + MARGINS[0], 8), column, INK, _font())
    for number, (name, (key, colour)) in enumerate(lines.items()):
        points = [panel.place(row["epoch"] + 1, row[key]) for row in rows if math.isfinite(row[key])]
        draw.line(points, colour, 2)
        for x, y in points if len(points) < 3 else ():
            draw.ellipse((x - 2, y - 2, x + 2, y + 2), colour)
        draw.text((left + PANEL[0] - 180 + 90 * number, 8), name, colour, _font())


def _draw_axes(draw: ImageDraw.ImageDraw, panel: _Panel) -> None:
    """Draw lines across at round numbers with their values, and the epochs below."""
    for value in _round_numbers(panel.values):
        x, y = panel.place(panel.epochs[0], value)
        draw.line([(x, y), (panel.place(panel.epochs[1], value))], FAINT)
        draw.text((x - 6, y), f"{value:.4g}", INK, _font(), anchor="rm")
    for epoch in _round_numbers(panel.epochs):
        if epoch == int(epoch):
            across, _ = panel.place(epoch, panel.values[0])
            draw.text((across, PANEL[1] - 34), f"{epoch:.0f}", INK, _font(), anchor="ma")
    middle = panel.left + (MARGINS[0] + PANEL[0] - MARGINS[2]) / 2
    draw.text((middle, PANEL[1] - 17), "epoch", INK, _font(), anchor="ma")


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Return the lowest and the highest value, a little apart where they are one."""
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _round_numbers(limits: tuple[float, float]) -> list[float]:
    """Return about `TICKS` multiples of 1, 2 or 5 times a power of ten between two limits."""
    rough = (limits[1] - limits[0]) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    first, last = math.ceil(limits[0] / step - 1e-9), math.floor(limits[1] / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(FONT_SIZE)
