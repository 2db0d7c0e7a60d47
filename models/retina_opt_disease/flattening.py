"""Lays the retina flat: finds the bright line below it, the pigment epithelium, and cuts a band along it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from node.imaging.components import largest_components
from node.vocabulary import Mask, Pixels

# Of the rows of the picture, from the line upwards and downwards: some 0.7 and 0.27 mm in the training set.
ABOVE, BELOW = 0.36, 0.14

WHITE = 0.97  # the margins of exported pictures, not the brightest of the retina
LEAST_MARGIN = 0.0005  # of the picture
MOST_MARGINS = 8
MARGIN_BLUR = 4  # pixels that compression spoils around a margin

SMOOTH_ROWS, SMOOTH_COLUMNS = 60, 40  # the line is sought in means over such parts of the picture's sides
AS_BRIGHT = 0.75  # of the brightest of a column: nerve fibres above the line may be as bright as the line
DEGREE = 2  # of the curve that the line follows: it bends with the eye, and not with drusen
NEAR = 0.06  # of the rows: how far from the first curve the line is sought again
FIRST_FITS, FITS = 12, 25
WIDEST, NARROWEST, NARROWING = 0.15, 0.03, 0.85  # of the rows: beyond, a column counts less and less

Curve = NDArray[np.float64]


def flatten(grey: Pixels, seen: Mask) -> tuple[Pixels, Mask]:
    """Return the band of the picture along the bright line, and where it was seen; columns stay as they are."""
    rows, columns = grey.shape
    visible = seen & ~white_margins(grey)
    line = bright_line(np.where(visible, grey, 0.0).astype(np.float32))
    offsets = np.arange(-int(ABOVE * rows), int(BELOW * rows))
    places = np.rint(line).astype(int)[np.newaxis, :] + offsets[:, np.newaxis]
    inside = (places >= 0) & (places < rows)
    places = np.clip(places, 0, rows - 1)
    across = np.arange(columns)[np.newaxis, :]
    return np.asarray(grey[places, across]), np.asarray(visible[places, across] & inside)


def bright_line(grey: Pixels) -> Curve:
    """Return the row of the line in each column: a parabola through the lowest bright places.

    Each fit counts columns less the further they lie off the last, within narrowing limits; halfway the
    bright places are sought anew near the curve.
    """
    rows, columns = grey.shape
    smooth = _means(grey, max(3, rows // SMOOTH_ROWS), max(3, columns // SMOOTH_COLUMNS))
    across = np.linspace(-1.0, 1.0, columns)
    strength = smooth.max(axis=0) + 1e-6
    found, weights = _lowest_bright(smooth), strength
    curve = found
    for number in range(FITS):
        curve = np.polyval(np.polyfit(across, found, DEGREE, w=np.sqrt(weights)), across)
        if number == FIRST_FITS:
            found = _brightest_near(smooth, curve)
        limit = max(NARROWEST, WIDEST * NARROWING**number) * rows
        weights = strength / (1.0 + ((found - curve) / limit) ** 2) ** 2
    return curve


def white_margins(grey: Pixels) -> Mask:
    """Return where the picture is white up to its edge, as exports fill what a turned frame leaves free."""
    margins = np.zeros(grey.shape, np.bool_)
    for area in largest_components(grey >= WHITE, MOST_MARGINS, int(LEAST_MARGIN * grey.size)):
        if area[0].any() or area[-1].any() or area[:, 0].any() or area[:, -1].any():
            margins |= area
    for _ in range(MARGIN_BLUR):
        margins = _widen(margins)
    return margins


def _lowest_bright(smooth: Pixels) -> Curve:
    """Return in each column the lowest row that is nearly as bright as the brightest."""
    bright = smooth >= AS_BRIGHT * smooth.max(axis=0)
    return np.asarray(len(smooth) - 1 - bright[::-1].argmax(axis=0), np.float64)


def _brightest_near(smooth: Pixels, curve: Curve) -> Curve:
    distance = (np.arange(len(smooth))[:, np.newaxis] - curve) / (NEAR * len(smooth))
    return np.asarray((smooth * np.exp(-(distance**2) / 2)).argmax(axis=0), np.float64)


def _means(grey: Pixels, rows: int, columns: int) -> Pixels:
    """Return the mean over (rows, columns), made odd, around each pixel; edges are repeated outwards."""
    means = grey
    for axis, size in enumerate((rows | 1, columns | 1)):
        margin = [(0, 0), (0, 0)]
        margin[axis] = (size // 2 + 1, size // 2)
        sums = np.pad(means, margin, mode="edge").cumsum(axis=axis, dtype=np.float64)
        means = np.diff(np.stack([np.take(sums, range(sums.shape[axis] - size), axis),
                                  np.take(sums, range(size, sums.shape[axis]), axis)]), axis=0)[0] / size
    return np.asarray(means, np.float32)


def _widen(mask: Mask) -> Mask:
    """Return the mask with its four neighbours."""
    wider = mask.copy()
    wider[1:] |= mask[:-1]
    wider[:-1] |= mask[1:]
    wider[:, 1:] |= mask[:, :-1]
    wider[:, :-1] |= mask[:, 1:]
    return wider
