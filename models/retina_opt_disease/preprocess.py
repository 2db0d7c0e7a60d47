"""What the network sees of each frame of a retinal OCT, and what its answers say together."""

from __future__ import annotations

import numpy as np

from node.errors import PixelsRefused
from node.imaging.image import PlanarImage
from node.imaging.ophthalmic import frames_of
from node.imaging.resample import stretch
from node.vocabulary import Classification, Interpretation, Pixels

from .flattening import flatten

ROWS, COLUMNS = 96, 192
CLASSES = ("cnv", "dme", "drusen", "normal")  # in the order of the network's outputs
NORMAL = CLASSES.index("normal")
NAMES = {
    "cnv": "choroidal neovascularisation",
    "dme": "diabetic macular oedema",
    "drusen": "drusen",
    "normal": "normal retina",
}

GREY_PERCENTILES = (5.0, 99.7)
LEAST_CONTRAST = 0.02  # less is noise, which stretching would turn into a retina

MOST_FRAMES = 40  # evenly taken
VIEWS = 2  # each frame is judged as it is and mirrored
SUSPICIOUS = 3  # frames that decide: a lesion lies in a few frames, not in all
CERTAIN = 1e-6

SIDES = {"R": "right", "L": "left"}
REMARK_KNOWN = (
    "Only choroidal neovascularisation, diabetic macular oedema and drusen are known to this model; any other lesion "
    "is called one of these or normal."
)


def prepare(image: PlanarImage) -> Pixels:
    """Return (2 n, 96, 192, 1) in 0..1: up to 40 frames, the retina laid flat, each as it is and mirrored.

    Raises PixelsRefused for a frame without contrast.
    """
    frames = frames_of(image)
    seen = [look_at(frames[index]) for index in chosen_frames(image)]
    return np.stack([view for picture in seen for view in (picture, picture[:, ::-1])])[..., np.newaxis]


def interpret(prediction: Pixels, image: PlanarImage) -> Interpretation:
    """Return the class of the image from (2 n, 4) probabilities of the views that `prepare` made.

    Of several frames the three least like a normal retina decide: the mean of their log-probabilities.
    """
    indices = chosen_frames(image)
    frames = join_views(prediction)
    probabilities = join_frames(frames)
    named = {name: float(share) for name, share in zip(CLASSES, probabilities, strict=True)}
    count = len(frames_of(image))
    shown = int(indices[int(np.argmax(frames[:, int(np.argmax(probabilities))]))]) if count > 1 else None
    remarks = [_ranking(named), _side(image), REMARK_KNOWN]
    if count > 1:
        remarks.insert(1, f"{len(indices)} of {count} frames were judged, each on its own.")
    found = Classification("retinal_disease", named, slice_number=shown)
    return Interpretation(classifications=(found,), remarks=tuple(remarks))


def look_at(frame: PlanarImage) -> Pixels:
    """Return a frame as (96, 192) in 0..1: the retina laid flat, greys stretched, nothing seen is black.

    Raises PixelsRefused for a frame without contrast.
    """
    if np.ptp(frame.pixels) < LEAST_CONTRAST:
        raise PixelsRefused(
            f"the grey values of a frame reach from {frame.pixels.min():.3f} to {frame.pixels.max():.3f} of 0..1; an "
            f"OCT needs at least {LEAST_CONTRAST} between them; check the window in its header"
        )
    band, seen = flatten(frame.pixels, ~frame.padding)
    if not seen.any():
        raise PixelsRefused("a frame shows no retina, only padding or a white margin; send a retinal OCT")
    low, high = np.percentile(band[seen], GREY_PERCENTILES)
    grey = np.clip((band - low) / max(float(high - low), LEAST_CONTRAST), 0.0, 1.0)
    return stretch(np.where(seen, grey, 0.0).astype(np.float32), (ROWS, COLUMNS))


def chosen_frames(image: PlanarImage) -> list[int]:
    """Return the indices of the frames that are judged: evenly spaced, at most 40."""
    count = len(frames_of(image))
    return [int(place) for place in np.rint(np.linspace(0, count - 1, min(MOST_FRAMES, count)))]


def join_views(prediction: Pixels) -> Pixels:
    """Return (n, 4): the mean over the views of each frame."""
    return np.asarray(prediction.reshape(-1, VIEWS, len(CLASSES)).mean(axis=1))


def join_frames(frames: Pixels) -> Pixels:
    """Return (4,): the mean log-probability of the most suspicious frames, made to sum to one."""
    suspicious = np.argsort(frames[:, NORMAL])[:SUSPICIOUS]
    mean = np.exp(np.log(np.maximum(frames[suspicious], CERTAIN)).mean(axis=0))
    return np.asarray(mean / mean.sum())


def _ranking(named: dict[str, float]) -> str:
    """Return a sentence with the two most probable classes."""
    first, second = sorted(named, key=lambda name: -named[name])[:2]
    return f"Most probable: {NAMES[first]} ({named[first]:.0%}), then {NAMES[second]} ({named[second]:.0%})."


def _side(image: PlanarImage) -> str:
    if image.laterality in SIDES:
        return f"The header says that this is the {SIDES[image.laterality]} eye."
    return "The header does not say which eye this is."
