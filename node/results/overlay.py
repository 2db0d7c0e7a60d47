"""Findings drawn over a picture, with their names below it, for viewers that show nothing but pictures."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from node.vocabulary import NOT_FOR_DIAGNOSIS, Mask, Pixels

Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Picture = NDArray[np.uint8]

LONGEST_SIDE = 1000
OPACITY = 0.25
OUTLINE_PIXELS = 2
MARGIN = 14
TEXT_PIXELS = 20
LINE_PIXELS = TEXT_PIXELS + 8

TEXT = (235, 235, 235)
WARNING = (255, 196, 0)
GROUND = (0, 0, 0)


@dataclass(frozen=True)
class Overlay:
    """A finding as drawn: the sentence in the legend, (rows, columns) mask and colour."""

    sentence: str
    mask: Mask
    colour_rgb: Colour


def draw_overlays(pixels: Pixels, spacing_mm: Sequence[float], overlays: Sequence[Overlay], caption: str) -> Picture:
    """Return (rows, columns, 3) of the picture with tinted, outlined findings, a legend and the caption.

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
    return np.asarray(_framed(Image.fromarray(colours), overlays, caption))


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
    tinted = colours.copy()
    tinted[mask] = np.round((1 - OPACITY) * colours[mask] + OPACITY * np.array(colour)).astype(np.uint8)
    tinted[mask & ~_eroded(mask, OUTLINE_PIXELS)] = colour
    return tinted


def _eroded(mask: Mask, pixels: int) -> Mask:
    """Return the mask less a rim this many pixels wide; it does not shrink from the picture's edge."""
    for _ in range(pixels):
        around = np.pad(mask, 1, mode="edge")
        mask = mask & around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    return mask


def _framed(picture: Image.Image, overlays: Sequence[Overlay], caption: str) -> Image.Image:
    """Return the picture with the warning above it, the legend and the caption below."""
    font = ImageFont.load_default(TEXT_PIXELS)
    width = max(picture.width, LONGEST_SIDE // 2)
    lines = list(_lines(overlays, caption, font, width - 3 * MARGIN - TEXT_PIXELS))
    head = LINE_PIXELS + MARGIN
    sheet = Image.new("RGB", (width, head + picture.height + LINE_PIXELS * len(lines) + 2 * MARGIN), GROUND)
    sheet.paste(picture, ((width - picture.width) // 2, head))
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN, MARGIN // 2), NOT_FOR_DIAGNOSIS, WARNING, font)
    for place, (colour, words) in enumerate(lines):
        top = head + picture.height + MARGIN + place * LINE_PIXELS
        if colour is not None:
            pen.rectangle((MARGIN, top + 2, MARGIN + TEXT_PIXELS, top + 2 + TEXT_PIXELS), colour)
        pen.text((2 * MARGIN + TEXT_PIXELS, top), words, TEXT, font)
    return sheet


def _lines(
    overlays: Sequence[Overlay], caption: str, font: Font, width_pixels: int
) -> Iterator[tuple[Colour | None, str]]:
    """Yield the lines below the picture, the first of each finding with its colour."""
    for overlay in overlays:
        first, *rest = _wrapped(overlay.sentence, font, width_pixels)
        yield overlay.colour_rgb, first
        yield from ((None, line) for line in rest)
    yield from ((None, line) for line in _wrapped(caption, font, width_pixels))


def _wrapped(text: str, font: Font, width_pixels: int) -> list[str]:
    """Return the text in lines no wider than this, broken between words."""
    lines = [""]
    for word in unicodedata.normalize("NFKC", text).split():
        longer = f"{lines[-1]} {word}".strip()
        if not lines[-1] or font.getlength(longer) <= width_pixels:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
