"""The lines below a key image: words, with a coloured square before them or a bar after them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

MARGIN = 14
TEXT_PIXELS = 20
LINE_PIXELS = TEXT_PIXELS + 8
INDENT = 2 * MARGIN + TEXT_PIXELS

TEXT = (235, 235, 235)
BAR = (90, 170, 250)
BAR_GROUND = (60, 60, 60)
GROUND = (0, 0, 0)


@dataclass(frozen=True)
class Line:
    """Words for the reader; `colour_rgb` is that of an outline, `share` in 0..1 how long a bar is."""

    words: str
    colour_rgb: Colour | None = None
    share: float | None = None


def draw_legend(lines: Sequence[Line], width_pixels: int) -> Image.Image:
    """Return the lines one below the other on a ground this wide; long ones go on in the next row."""
    font = ImageFont.load_default(TEXT_PIXELS)
    rows = [row for line in lines for row in _rows(line, font, width_pixels - INDENT - MARGIN)]
    legend = Image.new("RGB", (width_pixels, LINE_PIXELS * len(rows) + 2 * MARGIN), GROUND)
    pen = ImageDraw.Draw(legend)
    bars_from = INDENT + max((_bar_indent(row, font) for row in rows), default=0)
    for number, row in enumerate(rows):
        top = MARGIN + LINE_PIXELS * number
        if row.colour_rgb is not None:
            pen.rectangle((MARGIN, top + 2, MARGIN + TEXT_PIXELS, top + 2 + TEXT_PIXELS), row.colour_rgb)
        pen.text((INDENT, top), row.words, TEXT, font)
        if row.share is not None:
            _draw_bar(pen, row.share, font, (bars_from, top, width_pixels - MARGIN))
    return legend


def _rows(line: Line, font: Font, width_pixels: int) -> Iterator[Line]:
    """Yield a line in rows that fit, the first with the colour, the last with the bar, if it has one."""
    room = width_pixels if line.share is None else width_pixels // 2
    words = _wrapped(line.words, font, room)
    for number, part in enumerate(words):
        colour = line.colour_rgb if number == 0 else None
        yield Line(part, colour, line.share if number == len(words) - 1 else None)


def _bar_indent(row: Line, font: Font) -> int:
    return 0 if row.share is None else round(font.getlength(row.words)) + MARGIN


def _draw_bar(pen: ImageDraw.ImageDraw, share: float, font: Font, place: tuple[int, int, int]) -> None:
    """Draw a bar and its number between `place`, (left, top, right); the ground shows how long 1 is."""
    left, top, right = place
    end = right - round(font.getlength("0.00")) - MARGIN
    pen.rectangle((left, top + 4, end, top + TEXT_PIXELS), BAR_GROUND)
    if share > 0:
        pen.rectangle((left, top + 4, left + round((end - left) * share), top + TEXT_PIXELS), BAR)
    pen.text((end + MARGIN, top), f"{share:.2f}", TEXT, font)


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
