"""Draws examples for the report of a model: pictures beside each other, with outlines, labels and maps on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from node.vocabulary import Mask, Pixels

Colour = tuple[int, int, int]
ColourPicture = NDArray[np.float32]

CAPTION_PIXELS = 18
GAP = 6
FONT_SIZE = 12
COLOURS = 128  # of the file, which keeps it small


@dataclass(frozen=True)
class Panel:
    """A picture in 0..1, (rows, columns) or (rows, columns, 3), and what is written above it."""

    picture: Pixels
    caption: str = ""


def draw_panels(rows: Sequence[Sequence[Panel]], file: Path, height: int = 160) -> Path:
    """Write a PNG with the panels of each row side by side, every picture `height` pixels high."""
    drawn = [[_draw_panel(panel, height) for panel in row] for row in rows]
    width = max(sum(panel.width + GAP for panel in row) - GAP for row in drawn)
    step = height + CAPTION_PIXELS + GAP
    canvas = Image.new("RGB", (width, step * len(drawn) - GAP), "white")
    for number, row in enumerate(drawn):
        left = 0
        for panel in row:
            canvas.paste(panel, (left, number * step))
            left += panel.width + GAP
    canvas.quantize(COLOURS).save(file, optimize=True)
    return file


def stretch_grey(values: Pixels, percentiles: tuple[float, float] = (1.0, 99.5)) -> Pixels:
    """Map two percentiles of any values onto 0..1, for display; a picture without contrast becomes black."""
    low, high = (float(value) for value in np.percentile(values, percentiles))
    if high <= low:
        return np.zeros(values.shape, np.float32)
    return np.asarray(np.clip((values.astype(np.float32) - low) / (high - low), 0.0, 1.0))


def outline(picture: Pixels, masks: Mapping[Colour, Mask]) -> ColourPicture:
    """Return the picture with the inner edge of each mask in its colour, 0 to 255 each of red, green and blue."""
    coloured = _in_colour(picture)
    for colour, mask in masks.items():
        coloured[_edge(mask)] = np.asarray(colour, np.float32) / 255.0
    return coloured


def tint(picture: Pixels, masks: Mapping[Colour, Mask], opacity: float = 0.45) -> ColourPicture:
    """Return the picture with the area of each mask in its colour."""
    coloured = _in_colour(picture)
    for colour, mask in masks.items():
        coloured[mask] = (1 - opacity) * coloured[mask] + opacity * np.asarray(colour, np.float32) / 255.0
    return coloured


def heat(picture: Pixels, values: Pixels, opacity: float = 0.6) -> ColourPicture:
    """Return the picture with a map in 0..1 over it, from nothing over red to yellow."""
    coloured = _in_colour(picture)
    strength = np.clip(values, 0.0, 1.0)[..., np.newaxis].astype(np.float32)
    hot = np.concatenate([np.ones_like(strength), np.clip(2 * strength - 1, 0, 1), np.zeros_like(strength)], axis=-1)
    weight = opacity * np.clip(2 * strength, 0.0, 1.0)
    return np.asarray((1 - weight) * coloured + weight * hot, np.float32)


def _in_colour(picture: Pixels) -> ColourPicture:
    grey = np.clip(picture, 0.0, 1.0).astype(np.float32)
    return grey.copy() if grey.ndim == 3 else np.repeat(grey[..., np.newaxis], 3, axis=-1)


def _edge(mask: Mask) -> Mask:
    """Return the pixels of the mask beside one that does not belong to it."""
    padded = np.pad(mask, 1)
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.asarray(mask & ~inside)


def _draw_panel(panel: Panel, height: int) -> Image.Image:
    rows, columns = panel.picture.shape[:2]
    width = max(1, round(columns * height / rows))
    bytes_ = np.rint(_in_colour(panel.picture) * 255).astype(np.uint8)
    drawn = Image.new("RGB", (width, height + CAPTION_PIXELS), "white")
    drawn.paste(Image.fromarray(bytes_).resize((width, height), Image.Resampling.BICUBIC), (0, CAPTION_PIXELS))
    font = ImageFont.load_default(FONT_SIZE)
    ImageDraw.Draw(drawn).text((2, CAPTION_PIXELS / 2), panel.caption, (30, 30, 30), font, anchor="lm")
    return drawn
