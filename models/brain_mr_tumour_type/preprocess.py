"""What the network sees of each slice of a brain MR series, and what its answers say together."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from node.errors import PixelsRefused, StudyRefused
from node.imaging.components import largest_components
from node.imaging.resample import stretch
from node.imaging.volume import Grid, Unit, Volume
from node.vocabulary import Classification, Interpretation, Mask, Pixels

SIZE = 128
CLASSES = ("glioma", "meningioma", "pituitary", "no_tumour")  # in the order of the network's outputs
NO_TUMOUR = CLASSES.index("no_tumour")

GREY_PERCENTILES = (0.5, 99.5)
HEAD = 0.12  # of the stretched greys: above the noise of air, below skin and grey matter
LEAST_HEAD = 0.02  # of the picture: a smaller patch is no head
MARGIN = 0.03  # of the head's sides

MOST_SLICES = 40  # evenly taken, so that a thin-sliced series costs no more than a thick one
LEAST_SECTION = 0.35  # of the largest section through the head: thinner ones are skin or scalp
RUN = 0.15  # of the slices judged: a tumour lies in neighbouring slices, not in all; see card.md
CERTAIN = 1e-6

REMARK_KNOWN = (
    "Only glioma, meningioma and pituitary tumour are known to this model; any other lesion is called one of these or "
    "no tumour."
)


def prepare(volume: Volume) -> Pixels:
    """Return (n, 128, 128, 1) in 0..1: up to 40 slices of the head as they are displayed.

    Raises StudyRefused for CT and PixelsRefused where nothing but air is seen.
    """
    turned = upright(volume)
    slices = [look_at(turned.voxels[index], ~turned.padding[index]) for index in chosen_slices(volume)]
    return np.stack(slices)[..., np.newaxis]


def interpret(prediction: Pixels, volume: Volume) -> Interpretation:
    """Return the class of the series from the (n, 4) probabilities of the slices that `prepare` chose.

    The run of neighbouring slices least like no tumour decides, by the mean of their log-probabilities.
    """
    indices = chosen_slices(volume)
    run = suspicious_run(prediction)
    probabilities = join_slices(prediction[run])
    best = int(np.argmax(probabilities))
    shown = int(indices[run][int(np.argmax(prediction[run, best]))])
    judged = f"{len(indices)} of {len(volume.voxels)} slices were judged, each on its own."
    named = {name: float(share) for name, share in zip(CLASSES, probabilities, strict=True)}
    found = Classification("tumour_type", named, slice_number=shown)
    return Interpretation(classifications=(found,), remarks=(judged, REMARK_KNOWN))


def look_at(picture: NDArray[np.generic], seen: Mask) -> Pixels:
    """Return a slice as (128, 128) in 0..1: greys stretched, cut to the head, which fills the square.

    Pictures of the training set were squeezed into squares by those who collected them, so the
    proportions of a head mean nothing and are taken away. Raises PixelsRefused for a slice of one grey.
    """
    grey = _stretch(np.asarray(picture, np.float32), seen)
    return stretch(grey[_head_box(grey)], (SIZE, SIZE))


def chosen_slices(volume: Volume) -> NDArray[np.int64]:
    """Return the indices of the slices that are judged: through the head, evenly spaced, at most 40."""
    _check(volume)
    sections = _head_mask(volume).mean(axis=(1, 2))
    if sections.max() < LEAST_HEAD:
        raise PixelsRefused(
            f"the largest section above air covers {sections.max():.1%} of its slice; a head covers at least "
            f"{LEAST_HEAD:.0%}; send a brain MR series"
        )
    through = np.flatnonzero(sections >= LEAST_SECTION * sections.max())
    places = np.linspace(0, len(through) - 1, min(MOST_SLICES, len(through)))
    return np.asarray(through[np.rint(places).astype(int)])


def suspicious_run(slices: Pixels) -> slice:
    """Return the run of neighbouring slices whose (n, 4) probabilities speak most for some tumour."""
    width = max(1, math.ceil(RUN * len(slices)))
    runs = [slice(start, start + width) for start in range(len(slices) - width + 1)]
    return min(runs, key=lambda run: float(join_slices(slices[run])[NO_TUMOUR]))


def join_slices(slices: Pixels) -> Pixels:
    """Return (4,): the mean of the log-probabilities of (n, 4), made to sum to one."""
    mean = np.exp(np.log(np.maximum(slices, CERTAIN)).mean(axis=0))
    return np.asarray(mean / mean.sum())


def upright(volume: Volume) -> Volume:
    """Return the slices as they are displayed: downwards to the feet or the back, rightwards to the left or the back.

    The grid is left as it was, so that only the pictures of the result may be used.
    """
    down, right = _display_axes(volume.grid)
    steps = np.array(volume.grid.steps_mm)
    voxels, padding = volume.voxels, volume.padding
    if down == 2:
        voxels, padding = voxels.swapaxes(1, 2), padding.swapaxes(1, 2)
    rows = slice(None, None, _sign(steps[down]))
    columns = slice(None, None, _sign(steps[right]))
    return Volume(
        voxels[:, rows, columns],
        volume.grid,
        volume.unit,
        padding[:, rows, columns],
        volume.sources,
        volume.frame_of_reference_uid,
    )


def _check(volume: Volume) -> None:
    if volume.unit is Unit.HOUNSFIELD:
        raise StudyRefused("the voxels are in HU, as in CT; a brain MR series is needed; route CT to another model")


def _display_axes(grid: Grid) -> tuple[int, int]:
    """Return which axis of the slices, 1 or 2, runs more up and down (or front to back), and the other."""
    upright = [np.abs(np.array(grid.steps_mm[axis]) / grid.spacing_mm[axis]) for axis in (1, 2)]
    height = [along[2] + 1e-3 * along[1] for along in upright]
    if max(height) < 0.5:
        height = [along[1] for along in upright]
    return (1, 2) if height[0] >= height[1] else (2, 1)


def _sign(step: NDArray[np.float64]) -> int:
    """Return 1 if a step leads to the left, the back or the feet, else -1."""
    axis = int(np.argmax(np.abs(step)))
    towards = -step[axis] if axis == 2 else step[axis]
    return 1 if towards > 0 else -1


def _head_mask(volume: Volume) -> Mask:
    values = np.where(volume.padding, volume.voxels.min(), volume.voxels)
    low, high = np.percentile(values[:: max(1, len(values) // 20)], GREY_PERCENTILES)
    return np.asarray((values > low + HEAD * (high - low)) & ~volume.padding)


def _stretch(picture: Pixels, seen: Mask) -> Pixels:
    """Map the middle 99 % of the greys seen onto 0..1; what was not seen is black."""
    if not seen.any():
        raise PixelsRefused("a slice is all padding; a brain MR series is needed; send the series again")
    low, high = np.percentile(picture[seen], GREY_PERCENTILES)
    if high <= low:
        raise PixelsRefused(
            f"a slice has one grey, {low:g}; a picture of a head is needed; look at the series at the modality"
        )
    return np.where(seen, np.clip((picture - low) / (high - low), 0.0, 1.0), 0.0).astype(np.float32)


def _head_box(grey: Pixels) -> tuple[slice, slice]:
    """Return the rows and columns of the largest bright area with a margin; all of them if it is small."""
    found = largest_components(grey > HEAD, 1, max(1, int(LEAST_HEAD * grey.size)))
    if not found:
        return slice(None), slice(None)
    return _extent(found[0].any(axis=1)), _extent(found[0].any(axis=0))


def _extent(is_head: Mask) -> slice:
    places = np.flatnonzero(is_head)
    margin = int(np.ceil(MARGIN * (places[-1] - places[0] + 1)))
    return slice(max(0, int(places[0]) - margin), int(places[-1]) + margin + 1)
