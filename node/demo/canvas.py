"""Drawing for the phantoms: curves, filled outlines, strokes and blur on a grid of fractions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Layer = NDArray[np.float64]
Points = NDArray[np.float64]

OVERSAMPLING = 2
STEPS_PER_SPAN = 12


@dataclass(frozen=True)
class Canvas:
    """A grid of (rows, columns) pixels addressed by (x, y) in heights of the picture.

    x is 0 in the middle and grows to the right of the picture, y is 0 at its top and 1 at its
    bottom. `lean` turns what is drawn, in radians, round the middle.
    """

    rows: int
    columns: int
    lean: float = 0.0

    def grid(self) -> tuple[Layer, Layer]:
        """Return x and y of every pixel, before the lean."""
        x = (np.arange(self.columns) + 0.5 - self.columns / 2) / self.rows
        y = (np.arange(self.rows) + 0.5) / self.rows
        return np.broadcast_to(x, (self.rows, self.columns)), np.broadcast_to(
            y[:, np.newaxis], (self.rows, self.columns)
        )

    def fill(self, *outlines: Points) -> Layer:
        """Return the share of each pixel, 0..1, that lies inside one of the closed outlines."""
        image, pen = self._paper()
        for outline in outlines:
            pen.polygon(self._places(outline), fill=255)
        return self._share(image)

    def stroke(self, lines: list[Points], widths: list[float]) -> Layer:
        """Return the share of each pixel, 0..1, covered by lines of these widths."""
        image, pen = self._paper()
        for line, width in zip(lines, widths, strict=True):
            pixels = max(1, round(width * self.rows * OVERSAMPLING))
            pen.line(self._places(line), fill=255, width=pixels, joint="curve")
        return self._share(image)

    def _paper(self) -> tuple[Image.Image, ImageDraw.ImageDraw]:
        image = Image.new("L", (self.columns * OVERSAMPLING, self.rows * OVERSAMPLING))
        return image, ImageDraw.Draw(image)

    def _places(self, points: Points) -> list[tuple[float, float]]:
        x, y = points[:, 0], points[:, 1] - 0.5
        along = x * np.cos(self.lean) - y * np.sin(self.lean)
        down = x * np.sin(self.lean) + y * np.cos(self.lean) + 0.5
        scale = self.rows * OVERSAMPLING
        return [
            (float(column), float(row))
            for column, row in zip(along * scale + self.columns * OVERSAMPLING / 2, down * scale, strict=True)
        ]

    def _share(self, image: Image.Image) -> Layer:
        return np.asarray(image.reduce(OVERSAMPLING), np.float64) / 255


def curve(*corners: tuple[float, float]) -> Points:
    """Return a smooth line through the points (a Catmull-Rom spline)."""
    points = np.array([corners[0], *corners, corners[-1]])
    t = np.linspace(0, 1, STEPS_PER_SPAN, endpoint=False)[:, np.newaxis]
    spans = [_span(points[place : place + 4], t) for place in range(len(points) - 3)]
    return np.concatenate([*spans, points[-1:]])


def ellipse(centre: tuple[float, float], radii: tuple[float, float], tilt: float = 0.0) -> Points:
    """Return the outline of an ellipse, turned by `tilt` radians clockwise on the picture."""
    angle = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    x, y = radii[0] * np.cos(angle), radii[1] * np.sin(angle)
    return np.stack(
        [centre[0] + x * np.cos(tilt) - y * np.sin(tilt), centre[1] + x * np.sin(tilt) + y * np.cos(tilt)],
        axis=1,
    )


def blur(layer: Layer, sigma_pixels: float) -> Layer:
    """Return a layer of values from 0 up smoothed by a Gaussian; it goes on beyond its edge as it ends."""
    margin = int(3 * sigma_pixels) + 1
    padded = np.pad(layer, margin, mode="edge")
    down = np.fft.fftfreq(padded.shape[0])[:, np.newaxis]
    across = np.fft.rfftfreq(padded.shape[1])[np.newaxis, :]
    response = np.exp(-2 * (np.pi * sigma_pixels) ** 2 * (down**2 + across**2))
    smooth = np.fft.irfft2(np.fft.rfft2(padded) * response, padded.shape)
    return np.clip(smooth[margin:-margin, margin:-margin], 0, None)  # the transform leaves -1e-17 for 0


def _span(four: Points, t: Layer) -> Points:
    """Return the part of a Catmull-Rom spline between the middle two of four points."""
    before, start, end, after = four
    return np.asarray(
        0.5
        * (
            2 * start
            + (end - before) * t
            + (2 * before - 5 * start + 4 * end - after) * t**2
            + (3 * start - before - 3 * end + after) * t**3
        )
    )
