"""Findings drawn over a picture, with their names below it, for viewers that show nothing but pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from node.results.legend import GROUND, LINE_PIXELS, MARGIN, TEXT_PIXELS, Colour, Line, draw_legend
from node.vocabulary import NOT_FOR_DIAGNOSIS, Mask, Pixels

Picture = NDArray[np.uint8]

LONGEST_SIDE = 1000
OPACITY = 0.25
OUTLINE_PIXELS = 2

WARNING = (255, 196, 0)

_LEVELS = np.arange(256)[:, np.newaxis]


@dataclass(frozen=True)
class Overlay:
    """A finding as drawn: the sentence in the legend, (rows, columns) mask and colour."""

    sentence: str
    mask: Mask
    colour_rgb: Colour


def draw_overlays(
    pixels: Pixels, spacing_mm: Sequence[float], overlays: Sequence[Overlay], lines: Sequence[Line]
) -> Picture:
    """Return (rows, columns, 3) of the picture with tinted, outlined findings, their names and more lines below.

    `pixels` is (rows, columns) in 0..1, 0 black, and `spacing_mm` what lies between its rows and its
    columns; the result has square pixels, and 1000 of them along the longer side of the picture. It
    says that it is not for diagnosis.
    """
    grey = Image.fromarray(np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8))
    size = _fit(pixels.shape, spacing_mm)
    scaled = np.asarray(grey.resize(size, Image.Resampling.BILINEAR))
    colours: Picture = np.repeat(scaled[..., np.newaxis], 3, axis=2)
    for overlay in overlays:
        colours = _tinted(colours, _scaled(overlay.mask, size), overlay.colour_rgb)
    named = [Line(overlay.sentence, overlay.colour_rgb) for overlay in overlays]
    return np.asarray(_framed(Image.fromarray(colours), [*named, *lines]))


def _fit(shape: tuple[int, ...], spacing_mm: Sequence[float]) -> tuple[int, int]:
    """Return (columns, rows) with square pixels and the longest side as wanted."""
    height, width = shape[0] * spacing_mm[0], shape[1] * spacing_mm[1]
    scale = LONGEST_SIDE / max(height, width)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _scaled(mask: Mask, size: tuple[int, int]) -> Mask:
    share = Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR)
    return np.asarray(share) > 127


def _tinted(colours: Picture, mask: Mask, colour: Colour) -> Picture:
    """Return the picture with the mask tinted and its outline, inside the mask, in full colour."""
    tints = np.round((1 - OPACITY) * _LEVELS + OPACITY * np.array(colour)).astype(np.uint8)
    tinted = colours.copy()
    for channel, tint in enumerate(tints.T):  # looked up, which takes a third of the time of computing it
        np.copyto(tinted[..., channel], tint[colours[..., channel]], where=mask)
    tinted[mask & ~_eroded(mask, OUTLINE_PIXELS)] = colour
    return tinted


def _eroded(mask: Mask, pixels: int) -> Mask:
    """Return the mask less a rim this many pixels wide; it does not shrink from the picture's edge."""
    for _ in range(pixels):
        around = np.pad(mask, 1, mode="edge")
        mask = mask & around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    return mask


def _framed(picture: Image.Image, lines: Sequence[Line]) -> Image.Image:
    """Return the picture with the warning above it and the lines below."""
    width = max(picture.width, LONGEST_SIDE // 2)
    legend = draw_legend(lines, width)
    head = LINE_PIXELS + MARGIN
    sheet = Image.new("RGB", (width, head + picture.height + legend.height), GROUND)
    sheet.paste(picture, ((width - picture.width) // 2, head))
    sheet.paste(legend, (0, head + picture.height))
    font = ImageFont.load_default(TEXT_PIXELS)
    ImageDraw.Draw(sheet).text((MARGIN, MARGIN // 2), NOT_FOR_DIAGNOSIS, WARNING, font)
    return sheet
