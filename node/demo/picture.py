"""The overlay picture: a radiograph with its segments drawn over it, for a person to look at."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from node.imaging.image import PlanarImage
from node.vocabulary import NOT_FOR_DIAGNOSIS, Mask

Colour = tuple[int, int, int]

LONGEST_SIDE = 1000
OPACITY = 0.28
OUTLINE_PIXELS = 2
MARGIN = 14
TEXT_PIXELS = 20

TEXT = (235, 235, 235)
WARNING = (255, 196, 0)
GROUND = (18, 18, 18)


@dataclass(frozen=True)
class Overlay:
    """A segment as drawn: its name in the legend, (rows, columns) mask and colour."""

    label: str
    mask: Mask
    colour_rgb: Colour


def draw_overlay(image: PlanarImage, overlays: Sequence[Overlay], caption: str, path: Path) -> Path:
    """Write a PNG of the radiograph with translucent, outlined segments, a legend and the caption.

    Every picture says that it is not for diagnosis. Segments lie on the grid of the image; the
    first is drawn first. Returns `path`.
    """
    radiograph = Image.fromarray(np.round(image.pixels * 255).astype(np.uint8))
    size = _fit(radiograph.size)
    colours = np.repeat(
        np.asarray(radiograph.resize(size, _filter(radiograph, size)))[..., np.newaxis], 3, axis=2
    )
    for overlay in overlays:
        colours = _tinted(colours, _scaled(overlay.mask, size), overlay.colour_rgb)
    sheet = _framed(Image.fromarray(colours), overlays, caption)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, format="PNG")
    return path


def _fit(size: tuple[int, int]) -> tuple[int, int]:
    """Return (columns, rows) of the same shape with the longest side as wanted."""
    scale = LONGEST_SIDE / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _filter(radiograph: Image.Image, size: tuple[int, int]) -> Image.Resampling:
    return Image.Resampling.BOX if size < radiograph.size else Image.Resampling.BILINEAR


def _scaled(mask: Mask, size: tuple[int, int]) -> Mask:
    share = Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR)
    return np.asarray(share) > 127


def _tinted(colours: NDArray[np.uint8], mask: Mask, colour: Colour) -> NDArray[np.uint8]:
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
    below = [*_wrapped(caption, font, picture.width - 2 * MARGIN)]
    line = TEXT_PIXELS + 8
    head, foot = line + MARGIN, line * (len(overlays) + len(below)) + 2 * MARGIN
    sheet = Image.new("RGB", (picture.width, head + picture.height + foot), GROUND)
    sheet.paste(picture, (0, head))
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN, MARGIN // 2), NOT_FOR_DIAGNOSIS, WARNING, font)
    top = head + picture.height + MARGIN
    for place, overlay in enumerate(overlays):
        y = top + place * line
        pen.rectangle((MARGIN, y + 2, MARGIN + TEXT_PIXELS, y + 2 + TEXT_PIXELS), overlay.colour_rgb)
        pen.text((2 * MARGIN + TEXT_PIXELS, y), _drawable(overlay.label), TEXT, font)
    for place, words in enumerate(below, start=len(overlays)):
        pen.text((MARGIN, top + place * line), words, TEXT, font)
    return sheet


def _wrapped(
    caption: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width_pixels: int
) -> list[str]:
    """Return the caption in lines no wider than this, broken between words."""
    lines: list[str] = []
    for word in _drawable(caption).split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width_pixels:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _drawable(text: str) -> str:
    """Return the text without the signs that Pillow's own font lacks, such as the raised two of mm²."""
    return unicodedata.normalize("NFKC", text)
